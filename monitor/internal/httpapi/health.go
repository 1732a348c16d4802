package httpapi

import (
	"fmt"
	"net/http"
)

// live says that the process answers, and no more.
func live(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "alive") }

// ready says whether this monitor can do its work now.
func (a *API) ready(w http.ResponseWriter, _ *http.Request) {
	if err := a.coordinator.Ready(); err != nil {
		text(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
		return
	}
	text(w, http.StatusOK, "ready")
}

func text(w http.ResponseWriter, status int, sentence string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, sentence) // the peer may be gone: there is nobody left to tell
}
