package protocol

import (
	"fmt"
	"slices"
)

// ledger is what must hold after every step, and what that needs to be known of
// the past: more than any process knows.
type ledger struct {
	broken string // the first thing that was wrong

	reigns [maxEpochs + 1]appended
	// settled is the committed history: what was applied anywhere.
	settled []Position
	led     Seq      // the highest commit seq of any primary
	top     Position // the highest that was acknowledged
	readTop Seq      // the highest seq that a read showed
}

// appended is all that was ever appended in one epoch by its primary. Positions
// are given out once, so that they tell all that a record's content would.
type appended struct {
	by          ReplicaBoot
	before      Position // the last of the epochs before
	first, last Seq
	told        Seq // acknowledged up to here, 0: nothing was
}

func (l *ledger) fail(format string, args ...any) {
	if l.broken == "" {
		l.broken = fmt.Sprintf(format, args...)
	}
}

// begins: one boot for one epoch, and a later primary has what was acknowledged.
func (l *ledger) begins(m *machine) {
	g := &l.reigns[m.lead]
	if g.first != 0 {
		l.fail("%s and %s begin epoch %d", g.by, m.me, m.lead)
	}
	*g = appended{by: m.me, before: m.last(), first: m.last().Seq + 1, last: m.last().Seq}
	// A late record may still make somebody the primary of an epoch that others
	// have left: it owes nothing to those, and can commit nothing.
	for e := m.lead - 1; e > 0; e-- {
		if told := (Position{e, l.reigns[e].told}); told.Seq > 0 {
			if !holds(m, told, len(m.journal)) {
				l.fail("%s becomes primary of epoch %d with %s, and %s was acknowledged", m.me, m.lead, m.last(), told)
			}
			return
		}
	}
}

// makes: a primary appends at, which was never given out.
func (l *ledger) makes(m *machine, at Position) {
	g := &l.reigns[at.Epoch]
	if g.by != m.me || at.Seq != g.last+1 {
		l.fail("%s appends %s, and %s appended up to %d", m.me, at, g.by, g.last)
	}
	g.last = at.Seq
}

// copies: log matching. The record is not in the journal yet.
func (l *ledger) copies(m *machine, at Position) {
	g := &l.reigns[at.Epoch]
	before := Position{at.Epoch, at.Seq - 1}
	if at.Seq == g.first {
		before = g.before
	}
	if m.last() != before {
		l.fail("%s appends %s after %s, and it was made after %s", m.me, at, m.last(), before)
	}
}

// holds tells whether the first n records of a journal have the position.
func holds(m *machine, at Position, n int) bool {
	return at.Seq == 0 || int(at.Seq) <= n && m.journal[at.Seq-1].at == at
}

// committed: what one replica takes for committed, every other does.
func (l *ledger) committed(m *machine, from, to Seq) {
	switch {
	case to < from:
		l.fail("%s: the commit seq goes from %d back to %d", m.me, from, to)
		return
	case int(to) > m.durable:
		l.fail("%s takes %d for committed, and its disk has %d", m.me, to, m.durable)
		return
	}
	if m.core.Role() == RolePrimary {
		l.led = max(l.led, to)
	}
	if to > l.led {
		l.fail("%s takes %d for committed, and no primary more than %d", m.me, to, l.led)
	}
	for seq := from + 1; seq <= to; seq++ {
		at := m.journal[seq-1].at
		if int(seq) > len(l.settled) {
			l.settled = append(l.settled, at)
		} else if l.settled[seq-1] != at {
			l.fail("%s applies %s, and %s was applied elsewhere", m.me, at, l.settled[seq-1])
		}
	}
}

func (l *ledger) acknowledged(at Position) {
	l.reigns[at.Epoch].told = at.Seq
	if at.Compare(l.top) > 0 {
		l.top = at
	}
}

func (l *ledger) registry(before, now GroupRecord) {
	if now.Version <= before.Version && (now.Epoch != before.Epoch || !slices.Equal(now.InSync, before.InSync)) || now.Version < before.Version || now.Epoch < before.Epoch {
		l.fail("the record goes from v%d epoch %d to v%d epoch %d", before.Version, before.Epoch, now.Version, now.Epoch)
	}
	if now.Epoch > before.Epoch && before.Epoch > 0 && !slices.Equal(now.InSync, before.InSync) {
		l.fail("the promotion to epoch %d changes the in-sync set from %v to %v", now.Epoch, before.InSync, now.InSync)
	}
	if now.Epoch == before.Epoch && before.Epoch > 0 && now.Primary != before.Primary {
		l.fail("epoch %d goes from %s to %s", now.Epoch, before.Primary, now.Primary)
	}
}

// shown is the least seq that a read that begins now may show.
func (l *ledger) shown() Seq { return max(l.top.Seq, l.readTop) }

func (l *ledger) answered(m *machine, r reading) {
	if r.shows < r.floor {
		l.fail("%s answers a read with %d, and %d had been acknowledged or shown before it began", m.me, r.shows, r.floor)
	}
	if int(r.shows) > len(l.settled) {
		l.fail("%s answers a read with %d, and %d are committed", m.me, r.shows, len(l.settled))
	}
	l.readTop = max(l.readTop, r.shows)
}

// always holds after every step.
func (s *spot) always() {
	l, rec := &s.ledger, s.record()
	for _, u := range rec.InSync {
		if m := s.directory(u); m != nil && !holds(m, l.top, m.durable) {
			l.fail("%s was acknowledged, and %s of the in-sync set %v has %s (%d durable)", l.top, u, rec.InSync, m.last(), m.durable)
		}
	}
	for _, m := range s.machines[:s.b.nodes] {
		if m.core.Serving() {
			if by := l.reigns[m.core.Accepted()].by; by != m.me {
				l.fail("%s serves epoch %d of %s", m.me, m.core.Accepted(), by)
			}
			if c := m.core.Commit(); c == 0 || m.journal[c-1].at.Epoch != m.core.Accepted() {
				l.fail("%s serves epoch %d before its start is committed: %d is", m.me, m.core.Accepted(), c)
			}
		}
		if m.core.reign == nil || rec.Primary != m.me || rec.Epoch != m.core.Accepted() {
			continue
		}
		for _, u := range rec.InSync {
			if u != m.me.UUID && !m.core.InView(u) {
				l.fail("the view of %s %v lacks %s of the in-sync set %v", m.me, m.core.View(), u, rec.InSync)
			}
		}
	}
}
