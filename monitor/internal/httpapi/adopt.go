package httpapi

import (
	"net/http"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// adopt has a lost registry rebuilt from the nodes.
func (a *API) adopt(w http.ResponseWriter, r *http.Request) {
	o, err := readOrder[wire.AdoptOrder](w, r)
	if err == nil && (o.Node == "" || o.Reason == "") {
		err = problem.Errorf(problem.BadRequest, "an adoption names the next primary in node, and the reason, which is kept in the history")
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	adopted, err := a.coordinator.Adopt(r.Context(), o, r.RemoteAddr)
	a.done(w, r, adopted, err)
}

// witnesses tells what an adoption would be decided on.
func (a *API) witnesses(w http.ResponseWriter, r *http.Request) {
	heard, err := a.coordinator.Witnesses()
	a.done(w, r, heard, err)
}
