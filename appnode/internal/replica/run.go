package replica

import (
	"errors"
	"fmt"

	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/protocol"
)

// run is a checked stretch of received records.
type run struct {
	first, last protocol.Seq
	commit      protocol.Seq // the highest that a header names
	// ends holds the position of the last record of each epoch in it.
	ends []protocol.Position
}

var errGap = errors.New("records of a stream are not in sequence")

// checkRun verifies received records before they touch the journal: each is
// whole, of this group, next in sequence, and of no epoch above the stream's.
func (r *Replica) checkRun(epoch protocol.Epoch, data []byte) (run, error) {
	r.mu.Lock()
	last := r.core.Last()
	r.mu.Unlock()
	var out run
	err := record.Each(data, func(rec record.Record, _ []byte) error {
		switch {
		case rec.Group != r.opts.Group:
			return fmt.Errorf("record %s is of group %d", rec.Position(), rec.Group)
		case rec.Seq != last.Seq+1 || rec.Epoch < last.Epoch || rec.Epoch > epoch:
			return fmt.Errorf("record %s after %s in a stream of epoch %d: %w", rec.Position(), last, epoch, errGap)
		}
		if out.first == 0 {
			out.first = rec.Seq
		}
		if n := len(out.ends); n > 0 && out.ends[n-1].Epoch == rec.Epoch {
			out.ends[n-1] = rec.Position()
		} else {
			out.ends = append(out.ends, rec.Position())
		}
		out.commit = max(out.commit, rec.Commit)
		last = rec.Position()
		return nil
	})
	out.last = last.Seq
	if err == nil && out.first == 0 {
		err = errors.New("a frame of records holds none")
	}
	return out, err
}
