package protocol_test

import (
	"errors"
	"slices"
	"time"

	"understudy.example/pkg/protocol"
)

// stream is one connection from a standby to its primary. Each direction keeps its
// order, and breaks at some message: what comes after never arrives.
type stream struct {
	w          *world
	standby    *process
	primary    *process
	sid, pid   protocol.ConnID // its number at either end
	up, down   pipe
	isBroken   bool
	welcomedAt time.Time

	epoch     protocol.Epoch
	next      protocol.Seq // the primary's next record to send
	acked     protocol.Seq
	committed protocol.Seq
	confirm   uint64
}

// window is how many records a standby may have unacknowledged.
const window = 40

type pipe struct {
	waiting []func()
	last    time.Time // nothing arrives before what was sent earlier
	shut    bool
}

// put sends a message along one direction of a stream.
func (s *stream) put(dir *pipe, from, to *process, arrive func()) {
	if dir.shut {
		return
	}
	if s.w.isCut(from.n.name, to.n.name) {
		s.broken()
		return
	}
	at := s.w.now.Add(s.w.delay())
	if at.Before(dir.last) {
		at = dir.last
	}
	dir.last = at
	dir.waiting = append(dir.waiting, arrive)
	s.w.after(at.Sub(s.w.now), func() {
		to.event(func() {
			if len(dir.waiting) > 0 {
				first := dir.waiting[0]
				dir.waiting = dir.waiting[1:]
				first()
			}
		})
	})
}

// broken breaks a stream: what is under way may still arrive, up to some message,
// and each end learns of the break after a while of its own.
func (s *stream) broken() {
	if s.isBroken {
		return
	}
	s.isBroken = true
	for _, dir := range []*pipe{&s.up, &s.down} {
		dir.shut = true
		if s.w.rng.IntN(3) > 0 {
			dir.waiting = dir.waiting[:s.w.rng.IntN(len(dir.waiting)+1)]
		}
	}
	late := 30 * time.Millisecond
	if s.w.chance(4) {
		late = time.Second // half open
	}
	s.standby.later(s.w.upTo(late), func() { s.standby.lostPrimary(s) })
	s.primary.later(s.w.upTo(late), func() {
		if s.pid != 0 {
			delete(s.primary.peers, s.pid)
			s.primary.core.PeerGone(s.pid, s.w.now)
		}
	})
}

// dial opens a stream to the primary, if somebody listens there. An earlier one may
// still be on its way: nothing of it may have an effect.
func (p *process) dial(primary protocol.UUID) {
	role := p.role
	to := p.w.running(primary)
	if p.busy || to == nil || to == p || p.w.isCut(p.n.name, to.n.name) || p.w.isCut(to.n.name, p.n.name) {
		p.later(20*time.Millisecond+p.w.upTo(30*time.Millisecond), func() {
			if p.role == role && p.in == nil {
				p.dial(primary)
			}
		})
		return
	}
	p.connID++
	s := &stream{w: p.w, standby: p, primary: to, sid: p.connID}
	hello, err := p.core.Dialled(s.sid)
	if err != nil {
		return // the role is ending
	}
	p.in = s
	rec := p.core.GroupRecord()
	s.put(&s.up, p, to, func() { to.hello(s, hello, rec) })
	p.later(time.Second, func() {
		if p.in == s && s.welcomedAt.IsZero() {
			s.broken()
		}
	})
}

func (p *process) lostPrimary(s *stream) {
	if p.in != s {
		return
	}
	p.in = nil
	role := p.role
	p.later(p.w.upTo(20*time.Millisecond), func() {
		if p.role == role && p.in == nil && p.core.Role() == protocol.RoleStandby {
			p.dial(p.core.GroupRecord().Primary.UUID)
		}
	})
}

// hello is a handshake that reaches the primary.
func (p *process) hello(s *stream, h protocol.Hello, rec protocol.GroupRecord) {
	if rec.Version > 0 {
		p.record(rec)
	}
	p.connID++
	answer := p.core.Hello(p.connID, h, p.w.now)
	if answer.Refused != "" {
		p.w.tell("%s refuses %s: %s", p.n.name, h.UUID, answer.Refused)
		rec = p.core.GroupRecord()
		s.put(&s.down, p, s.standby, func() {
			if rec.Version > 0 {
				s.standby.record(rec)
			}
			s.broken()
		})
		return
	}
	s.pid, s.epoch, s.next, s.acked = p.connID, answer.Epoch, answer.Part+1, answer.Part
	p.peers[s.pid] = s
	p.w.tell("%s welcomes %s at %d in epoch %d (connection %d)", p.n.name, h.UUID, answer.Part, answer.Epoch, s.pid)
	s.put(&s.down, p, s.standby, func() { s.standby.welcomed(s, answer) })
}

// welcomed cuts the journal to where the histories part, and acknowledges that.
func (p *process) welcomed(s *stream, a protocol.HelloAnswer) {
	err := p.core.Welcomed(s.sid, a.Epoch, a.Part)
	switch {
	case errors.Is(err, protocol.ErrWouldUndo):
		p.w.check.fail(p.w, "%s: %v", p.n.name, err)
		return
	case err != nil:
		return
	}
	s.welcomedAt = p.w.now
	p.busy = true
	p.later(p.w.diskDelay(), func() {
		p.busy = false
		if int(a.Part) < len(p.dir.records) {
			p.w.tell("%s cuts %s to %d", p.n.name, p.dir.last(), a.Part)
			p.dir.records = slices.Clone(p.dir.records[:a.Part])
			p.dir.durable = len(p.dir.records)
			p.core.CutTo(a.Part)
		}
		p.ack(s)
		p.next()
	})
}

func (p *process) ack(s *stream) {
	if p.core.Accepts(s.sid, s.epoch) != nil {
		return
	}
	seq := p.core.Durable()
	s.put(&s.up, p, s.primary, func() { s.primary.acked(s, seq) })
}

func (p *process) acked(s *stream, seq protocol.Seq) {
	if seq >= s.next {
		p.w.check.fail(p.w, "%s acknowledges %d before it was sent", s.standby.n.name, seq)
		return
	}
	s.acked = max(s.acked, seq)
	p.core.Acked(s.pid, s.epoch, seq, int64(p.dir.last().Seq-seq)*entryBytes, p.w.now)
}

// feed sends every standby what it has not been sent: records, the commit seq, the
// newest confirm.
func (p *process) feed() {
	for _, s := range p.streams() {
		if s.epoch != p.lead.epoch {
			continue
		}
		if last := min(p.dir.last().Seq, s.next+9, s.acked+window); s.next <= last {
			records := slices.Clone(p.dir.records[s.next-1 : last])
			s.next = last + 1
			s.put(&s.down, p, s.standby, func() { s.standby.received(s, records) })
		}
		if c := p.core.Commit(); c > s.committed {
			s.committed = c
			s.put(&s.down, p, s.standby, func() { _ = s.standby.core.LearnCommit(s.sid, s.epoch, c) })
		}
		if n := p.core.ConfirmNumber(); n > s.confirm {
			s.confirm = n
			s.put(&s.down, p, s.standby, func() { s.standby.confirm(s, n) })
		}
	}
}

func (p *process) confirm(s *stream, n uint64) {
	if p.core.Accepts(s.sid, s.epoch) == nil {
		s.put(&s.up, p, s.primary, func() { s.primary.core.Confirmed(s.pid, s.epoch, n, p.w.now) })
	}
}

func (p *process) received(s *stream, records []entry) {
	if p.core.Accepts(s.sid, s.epoch) != nil {
		return
	}
	p.queue = append(p.queue, batch{s, records})
	p.next()
}

// takeBatch writes and syncs the records that waited, and acknowledges them.
func (p *process) takeBatch() {
	b := p.queue[0]
	p.queue = p.queue[1:]
	// The epoch is looked at again: the records may have waited.
	if p.core.Accepts(b.s.sid, b.s.epoch) != nil {
		p.next()
		return
	}
	var commit protocol.Seq
	for _, e := range b.records {
		if e.at.Seq != p.dir.last().Seq+1 || e.at.Epoch < p.dir.last().Epoch {
			p.w.check.fail(p.w, "%s: record %s comes after %s", p.n.name, e.at, p.dir.last())
			return
		}
		p.w.check.appended(p.w, p, e)
		p.dir.records = append(p.dir.records, e)
		p.core.AppendedTo(e.at, p.w.now)
		commit = max(commit, e.commit)
	}
	if p.w.faults.trouble && p.w.chance(300) {
		p.w.tell("%s has trouble", p.n.name)
		b.s.put(&b.s.up, p, b.s.primary, func() { b.s.primary.core.Trouble(b.s.pid, b.s.epoch, "disk_full", p.w.now) })
		p.later(p.w.upTo(300*time.Millisecond), b.s.broken)
	}
	p.sync(func() {
		_ = p.core.LearnCommit(b.s.sid, b.s.epoch, commit) // refused in another epoch
		p.ack(b.s)
	})
}
