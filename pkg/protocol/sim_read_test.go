package protocol_test

import (
	"slices"

	"understudy.example/pkg/protocol"
)

// pendingRead is a linearizable read on its way. floor is the least seq that its
// answer may show: what was acknowledged, or shown by another read, before it
// began.
type pendingRead struct {
	clientRead
	floor protocol.Seq
	round uint64       // that must be confirmed; at the primary
	shows protocol.Seq // the snapshot taken; at a standby what the primary said
	asker *stream      // the standby that asked, nil for the primary's own reads
	told  bool         // at a standby: the primary has answered
	done  func()       // instead of a client's read: what waits for the confirm
}

// read has a client ask this node, in whatever role it is.
func (p *process) read() {
	if p.w.rng.IntN(2) == 0 {
		return
	}
	switch {
	case p.core.Sealed(): // new reads wait for what comes of it
	case p.lead != nil && p.core.Serving():
		p.join(&pendingRead{clientRead: p.w.check.clients.read(), floor: p.w.check.shown(), shows: p.commit})
	case p.lead == nil && p.in != nil && !p.in.welcomedAt.IsZero() && p.core.Accepts(p.in.sid, p.in.epoch) == nil:
		p.ask()
	}
}

// join has a read wait for a confirm round that is sent from now on.
func (p *process) join(r *pendingRead) {
	if p.core.Alone() || p.w.hasty {
		p.confirmed(r)
		return
	}
	r.round = p.core.Join(p.w.now)
	p.lead.reads = append(p.lead.reads, r)
}

// land answers the reads whose round the whole view has confirmed.
func (p *process) land() {
	done := p.core.Land(p.w.now)
	if p.lead == nil || !p.core.Serving() {
		return
	}
	p.lead.reads = slices.DeleteFunc(p.lead.reads, func(r *pendingRead) bool {
		if r.round > done {
			return false
		}
		p.confirmed(r)
		return true
	})
}

func (p *process) confirmed(r *pendingRead) {
	if r.done != nil {
		r.done()
		return
	}
	if s := r.asker; s != nil {
		shows := r.shows
		s.put(&s.down, p, s.standby, func() { s.standby.learnShown(r, shows) })
		return
	}
	p.w.check.answered(p.w, p, r, r.shows)
}

// ask has a standby ask its primary what is committed.
func (p *process) ask() {
	s, r := p.in, &pendingRead{clientRead: p.w.check.clients.read(), floor: p.w.check.shown()}
	p.asked = append(p.asked, r)
	s.put(&s.up, p, s.primary, func() {
		q := s.primary
		if q.lead != nil && q.lead.epoch == s.epoch && q.core.Serving() && !q.core.Sealed() {
			r.asker, r.shows = s, q.commit
			q.join(r)
		}
	})
}

func (p *process) learnShown(r *pendingRead, shows protocol.Seq) {
	r.told, r.shows = true, shows
}

// answerAsked answers a standby's reads as soon as it has applied what the primary
// said. It may be in another role or epoch by then.
func (p *process) answerAsked() {
	p.asked = slices.DeleteFunc(p.asked, func(r *pendingRead) bool {
		if r.told && p.commit >= r.shows {
			p.w.check.answered(p.w, p, r, p.commit)
			return true
		}
		return false
	})
	if len(p.asked) > 100 {
		p.asked = p.asked[len(p.asked)-100:] // nobody waits for ever
	}
}

// shown is the least seq that a read that begins now may show.
func (c *checker) shown() protocol.Seq { return max(c.top.Seq, c.readTop) }

// answered: a read shows nothing older than what had been acknowledged, or shown,
// before it began, and nothing that is not committed.
func (c *checker) answered(w *world, p *process, r *pendingRead, shows protocol.Seq) {
	c.reads++
	r.answer(p.dir, shows)
	if shows < r.floor {
		c.fail(w, "%s answers a read with %d, and %d had been acknowledged or shown before it began", p.n.name, shows, r.floor)
	}
	if int(shows) > len(c.settled) {
		c.fail(w, "%s answers a read with %d, and %d are committed", p.n.name, shows, len(c.settled))
	}
	c.readTop = max(c.readTop, shows)
}
