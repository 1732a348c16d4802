package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/go-chi/chi/v5"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// killTimeout bounds the wait for a node that is asked to end its process.
const killTimeout = 5 * time.Second

func (a *API) cluster(w http.ResponseWriter, r *http.Request) {
	a.answer(w, r, a.coordinator.Cluster())
}

func (a *API) history(w http.ResponseWriter, r *http.Request) {
	a.answer(w, r, a.coordinator.History())
}

func (a *API) explain(w http.ResponseWriter, r *http.Request) {
	explain, err := a.coordinator.Explain()
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.answer(w, r, explain)
}

func (a *API) kill(w http.ResponseWriter, r *http.Request) {
	name, err := nodeName(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), killTimeout)
	defer cancel()
	if err := a.coordinator.Kill(ctx, name); err != nil {
		a.fail(w, r, err)
		return
	}
	a.log.Info().Str("node", name).Str("by", r.RemoteAddr).Msg("node killed on request")
	a.answer(w, r, wire.Killed{Node: name})
}

// nodeName returns the node that the path names. The router matches an escaped
// path as it came.
func nodeName(r *http.Request) (string, error) {
	name := chi.URLParam(r, "name")
	if r.URL.RawPath == "" {
		return name, nil
	}
	plain, err := url.PathUnescape(name)
	if err != nil {
		return "", problem.Errorf(problem.BadRequest, "the node's name %q is not escaped as a path is: %v", name, err)
	}
	return plain, nil
}
