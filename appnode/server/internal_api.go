package server

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"understudy.example/pkg/caller"
	"understudy.example/pkg/link"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// maxAssignment bounds a monitor's word, in bytes.
const maxAssignment = 4 << 20

// routeInternal adds the paths that monitors and other nodes use.
func (n *node) routeInternal(m *mux) {
	m.Post(wire.PathAssign, n.serveAssign)
	m.Post(wire.PathSeal, n.serveSeal)
	m.Get(link.Path, n.links.ServeHTTP)
	m.Get(wire.PathStream, n.withReplica(func(w http.ResponseWriter, r *http.Request) { n.replica.ServeStream(w, r) }))
	m.Get(wire.PathSnapshot, n.withReplica(func(w http.ResponseWriter, r *http.Request) { n.replica.ServeSnapshot(w, r) }))
}

func (n *node) serveAssign(w http.ResponseWriter, r *http.Request) {
	var a wire.Assignment
	if err := json.NewDecoder(http.MaxBytesReader(w, io.NopCloser(caller.Body(w, r, maxAssignment)), maxAssignment)).Decode(&a); err != nil {
		problem.Write(w, problem.Errorf(problem.BadRequest, "the assignment is not valid: %v", err))
		return
	}
	if err := n.assign(&a, false); err != nil {
		problem.Write(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(n.Status()); err != nil {
		n.log.Debug().Err(err).Msg("assignment not answered")
	}
}

// withReplica refuses requests for a group that this node does not keep, or
// cannot read.
func (n *node) withReplica(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch asked := r.URL.Query().Get("group"); {
		case asked != strconv.Itoa(int(group)):
			problem.Write(w, problem.Errorf(problem.NotFound, "this node keeps group %d, and group %q was asked for", group, asked))
		case n.replica == nil:
			problem.Write(w, n.corruptError())
		default:
			h(w, r)
		}
	}
}
