package protocol

import (
	"errors"
	"slices"
)

// dials opens a connection to the primary. One more than may say something pushes
// the oldest out.
func (s *spot) dials(i int) {
	m := s.machine(i)
	to, _ := nodeOf(m.core.record.Primary.UUID)
	m.conns++
	h, err := m.core.Dialled(m.conns)
	if err != nil {
		m.conns--
		return
	}
	mine := 0
	for k, v := range slices.Backward(s.wires) {
		if v.from != i {
			continue
		}
		if mine++; mine >= s.b.wires {
			w := s.wire(k)
			w.broken, w.up, w.down = true, nil, nil
		}
	}
	s.wires = append(s.wires, &wire{from: i, to: to, sid: m.conns, up: []parcel{{hello: &h}}})
	if !s.b.fine {
		s.delivers(len(s.wires)-1, false)
	}
}

// puts sends a message. In coarse steps it joins what waits in the queue: what can
// be received of it alone, could have been received before it was sent.
func (s *spot) puts(queue []parcel, p parcel) []parcel {
	n := len(queue)
	if s.b.fine || n == 0 || queue[n-1].hello != nil || queue[n-1].welcome || queue[n-1].epoch != p.epoch || p.welcome {
		return append(queue, p)
	}
	q := queue[n-1]
	q.records = append(slices.Clip(q.records), p.records...)
	q.commit, q.confirm = max(q.commit, p.commit), max(q.confirm, p.confirm)
	q.ack, q.durable = q.ack || p.ack, max(q.durable, p.durable)
	return append(slices.Clone(queue[:n-1]), q)
}

// feeds sends every standby of a primary what it has not been sent.
func (s *spot) feeds(i int) {
	m := s.machines[i]
	if m.lead == 0 || m.core.reign == nil {
		return
	}
	for k, w := range s.wires {
		if w.to != i || w.broken || w.deaf || w.pid == 0 || w.epoch != m.lead {
			continue
		}
		for w.next <= m.last().Seq {
			w = s.wire(k)
			w.down = s.puts(w.down, parcel{epoch: w.epoch, records: []written{m.journal[w.next-1]}})
			w.next++
		}
		if c := m.core.Commit(); c > w.committed {
			w = s.wire(k)
			w.committed = c
			w.down = s.puts(w.down, parcel{epoch: w.epoch, commit: c})
		}
		if n := m.core.ConfirmNumber(); n > w.confirm {
			w = s.wire(k)
			w.confirm = n
			w.down = s.puts(w.down, parcel{epoch: w.epoch, confirm: n})
		}
	}
}

// delivers hands over the next message of one direction; in coarse steps all, but
// that a welcome comes apart: its acknowledgement may be all that arrives.
func (s *spot) delivers(k int, down bool) {
	for {
		w := s.wire(k)
		queue := &w.up
		if down {
			queue = &w.down
		}
		if len(*queue) == 0 || s.ledger.broken != "" {
			return
		}
		p := (*queue)[0]
		if down && s.machines[w.from].cut != nil && p.commit+Seq(p.confirm) == 0 && !p.welcome {
			return // records alone, and the disk is busy
		}
		*queue = (*queue)[1:]
		switch {
		case p.hello != nil:
			s.handshakes(k, p)
		case p.welcome:
			s.welcomed(k, p)
		case down:
			s.receives(k, p)
		default:
			s.hears(k, p)
		}
		if down {
			s.then(w.from)
		} else {
			s.then(w.to)
		}
		if s.b.fine || p.welcome {
			return
		}
	}
}

// handshakes is a hello that reaches the primary.
func (s *spot) handshakes(k int, p parcel) {
	w := s.wire(k)
	m := s.machine(w.to)
	m.conns++
	a := m.core.Hello(m.conns, *p.hello, wall)
	if a.Refused != "" {
		w.broken, w.deaf = true, true
		return
	}
	w.pid, w.epoch, w.next = m.conns, a.Epoch, a.Part+1
	if !w.broken {
		w.down = s.puts(w.down, parcel{welcome: true, epoch: a.Epoch, part: a.Part})
	}
}

// welcomed cuts the journal to where the histories part, and acknowledges that.
func (s *spot) welcomed(k int, p parcel) {
	w := s.wires[k]
	m := s.machine(w.from)
	err := m.core.Welcomed(w.sid, p.epoch, p.part)
	switch {
	case errors.Is(err, ErrWouldUndo):
		s.ledger.fail("%s: %v", m.me, err)
		return
	case err != nil:
		return
	}
	if int(p.part) == len(m.journal) {
		s.acks(k)
		return
	}
	m.cut = &p.part
	if !s.b.cuts {
		s.cuts(w.from)
	}
}

// cuts drops a tail that is not the primary's, and acknowledges what is left.
func (s *spot) cuts(i int) {
	m := s.machine(i)
	m.journal = slices.Clip(m.journal[:*m.cut])
	m.durable = len(m.journal)
	m.core.CutTo(*m.cut)
	m.cut = nil
	if k := s.current(i); k >= 0 {
		s.acks(k)
	}
}

func (s *spot) acks(k int) {
	w := s.wire(k)
	m := s.machines[w.from]
	if m.core.Accepts(w.sid, w.epoch) == nil && !w.broken && !w.deaf {
		w.up = s.puts(w.up, parcel{epoch: w.epoch, ack: true, durable: m.core.Durable()})
	}
}

// receives is what the primary says after its welcome.
func (s *spot) receives(k int, p parcel) {
	w := s.wire(k)
	m := s.machine(w.from)
	if m.core.Accepts(w.sid, p.epoch) != nil {
		return
	}
	if m.cut != nil { // the records wait for the disk, and nothing else does
		w.down = append([]parcel{{epoch: p.epoch, records: p.records}}, w.down...)
		p.records = nil
	}
	for _, r := range p.records {
		if r.at.Seq != m.last().Seq+1 || r.at.Epoch < m.last().Epoch {
			s.ledger.fail("%s: record %s comes after %s", m.me, r.at, m.last())
			return
		}
		s.ledger.copies(m, r.at)
		m.journal = append(m.journal, r)
		m.core.AppendedTo(r.at, wall)
	}
	if p.commit > 0 {
		_ = m.core.LearnCommit(w.sid, p.epoch, p.commit)
	}
	if p.confirm > 0 && !w.broken && !w.deaf && m.core.Accepts(w.sid, p.epoch) == nil {
		w.up = s.puts(w.up, parcel{epoch: p.epoch, confirm: p.confirm})
	}
	if !s.b.fine {
		s.syncs(w.from)
	}
}

// hears is what a standby answers.
func (s *spot) hears(k int, p parcel) {
	w := s.wires[k]
	m := s.machine(w.to)
	if w.deaf {
		return
	}
	if p.ack {
		if p.durable >= w.next {
			s.ledger.fail("%s acknowledges %d before it was sent", nameOf(w.from), p.durable)
			return
		}
		m.core.Acked(w.pid, p.epoch, p.durable, int64(m.last().Seq-p.durable), wall)
	}
	if p.confirm > 0 {
		m.core.Confirmed(w.pid, p.epoch, p.confirm, wall)
	}
}

// sweeps drops the connections that have nothing left to say.
func (s *spot) sweeps() {
	s.wires = slices.DeleteFunc(s.wires, func(w *wire) bool {
		return w.broken && len(w.up)+len(w.down) == 0 && (w.deaf || w.pid == 0)
	})
}
