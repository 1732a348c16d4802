package replica

import (
	"fmt"

	"understudy.example/appnode/internal/journal"
	"understudy.example/appnode/internal/record"
	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/protocol"
)

// judged is what became of a request on the newest state.
type judged struct {
	w   *write
	err error // why it is refused
	// pos is where the answer is recorded, by this batch or an earlier one, or
	// else the position of the state that the request was judged on.
	pos      protocol.Position
	missing  bool // it deletes what is not there
	applied  bool // it had an effect, now or when it came first
	repeated bool // it was answered before
}

// judge judges requests one after the other, each on a state that has the
// effects of those before it. It encodes what is to be recorded after buf, which
// has the journal's headroom.
func (r *Replica) judge(l *lead, writes []*write, buf []byte) (*batch, error) {
	commit := r.commit()
	pos := protocol.Position{Epoch: l.epoch, Seq: l.tail.Position().Seq}
	b := &batch{writes: make([]judged, 0, len(writes))}
	b.chunk.first = pos.Seq + 1
	var payload, id []byte
	for _, w := range writes {
		now := l.groupTime()
		v := l.tail.JudgeOnce(w.req, now)
		if v.Recorded {
			pos.Seq++
			payload = store.AppendBatch(payload[:0], now, v.Effects)
			id = store.AppendAnswered(id[:0], w.req, v.Status)
			buf = record.Append(buf, &record.Record{Group: r.opts.Group, Epoch: pos.Epoch, Seq: pos.Seq, Commit: commit, Kind: record.Batch, RequestID: id, Payload: payload})
			if err := l.tail.ApplyBatch(pos, id, payload); err != nil {
				return nil, fmt.Errorf("apply an accepted request: %w", err)
			}
		}
		j := judged{w: w, err: v.Err, pos: pos, missing: v.Missing, applied: v.Err == nil && !v.Missing, repeated: v.Repeated}
		if v.Repeated {
			j.pos = v.Position
			r.opts.Metrics.repeats.Inc()
		}
		b.writes = append(b.writes, j)
	}
	b.last = pos.Seq
	if len(buf) > journal.MarkSize {
		b.state, b.buf = l.tail.Clone(), buf
		b.chunk.last, b.chunk.data = pos.Seq, buf[journal.MarkSize:]
	}
	return b, nil
}
