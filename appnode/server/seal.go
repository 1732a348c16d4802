package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"understudy.example/pkg/caller"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// sealTimeout bounds how long what was judged before a seal may take to be
// committed.
const sealTimeout = 2 * time.Second

// serveSeal has this primary let a standby take over.
func (n *node) serveSeal(w http.ResponseWriter, r *http.Request) {
	var o wire.SealOrder
	err := json.NewDecoder(http.MaxBytesReader(w, io.NopCloser(caller.Body(w, r, maxAssignment)), maxAssignment)).Decode(&o)
	if err != nil {
		err = problem.Errorf(problem.BadRequest, "the order to seal is not valid: %v", err)
	} else {
		err = n.checkSeal(o)
	}
	if err != nil {
		problem.Write(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), sealTimeout)
	defer cancel()
	at, err := n.replica.Seal(ctx, o.Epoch, o.To)
	if refusal, ok := errors.AsType[*protocol.Refusal](err); ok {
		err = &problem.Error{Code: problem.Code(refusal.Code), Detail: refusal.Detail}
	}
	if err != nil {
		problem.Write(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(wire.SealAnswer{V: wire.Format, Position: at}); err != nil {
		n.log.Debug().Err(err).Msg("seal not answered")
	}
}

func (n *node) checkSeal(o wire.SealOrder) error {
	if err := wire.CheckFormat(o.V); err != nil {
		return err
	}
	switch {
	case o.Cluster != n.dir.Cluster():
		return problem.Errorf(problem.WrongCluster, "%s belongs to cluster %s, and the order is of cluster %s", n.opts.Name, n.dir.Cluster(), o.Cluster)
	case o.Group != group:
		return problem.Errorf(problem.NotFound, "this node keeps group %d, and the order is for group %d", group, o.Group)
	case n.replica == nil:
		return n.corruptError()
	}
	return nil
}
