package replica

import (
	"fmt"

	"understudy.example/appnode/internal/record"
	"understudy.example/appnode/internal/store"
)

// publish applies what is committed, shows it to readers, and then answers
// whoever waited for it. mu is held.
func (r *Replica) publish() {
	commit := r.core.Commit()
	before := r.applied.Position()
	var news []chunk
	if r.lead != nil {
		if state := r.lead.collect(commit); state != nil {
			r.applied = state
		}
		news = r.lead.news()
	} else {
		var err error
		if news, err = r.pending.upTo(commit); err == nil {
			err = r.pending.apply(r.applied, commit)
		}
		if err != nil {
			r.die(fmt.Errorf("apply committed records: %w", err))
			return
		}
	}
	if r.applied.Position() != before {
		view := r.applied.View()
		r.feed.add(news, view.Position(), func() { r.view.Store(view) })
		if len(r.waiting) > 0 {
			r.wakeReaders()
		}
	}
	if r.lead != nil {
		r.answer()
	}
}

func (r *Replica) wakeReaders() {
	applied := r.applied.Position().Seq
	left := r.waiting[:0]
	for _, w := range r.waiting {
		if w.seq <= applied {
			close(w.done)
		} else {
			left = append(left, w)
		}
	}
	r.waiting = left
}

// applyRecord applies one committed record to m.
func applyRecord(m *store.Map, rec record.Record) error {
	switch rec.Kind {
	case record.EpochStart:
		return m.ApplyEpochStart(rec.Position())
	case record.Profile:
		return m.ApplyProfile(rec.Position(), rec.Payload)
	case record.Batch:
		return m.ApplyBatch(rec.Position(), rec.RequestID, rec.Payload)
	}
	return fmt.Errorf("record %s is of an unknown kind %d", rec.Position(), rec.Kind)
}
