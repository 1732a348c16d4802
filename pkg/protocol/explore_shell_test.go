package protocol

import (
	"slices"
	"time"
)

// stillConfig is of a world without time: no wait ever ends, and what has no wait
// happens at once. In its place others decide: a connection that breaks, trouble.
func stillConfig() ReplicaConfig {
	const never = 10000 * time.Hour
	c := DefaultReplicaConfig()
	c.AckTimeout, c.EnterWithin, c.SlowAfter, c.QuietAfter = never, never, never, never
	c.AskAgain, c.SleptAfter, c.ConfirmEvery = never, never, never
	c.ReturnGrace, c.OutMin, c.OutMax = 0, 0, 0
	c.EnterBytes = 1 << 40
	return c
}

// starts begins a process on what its directory holds.
func (s *spot) starts(i int) {
	m := s.machine(i)
	count := m.me.Boot.Count + 1
	if m.me.UUID != uuidOf(i, m.lives) {
		count = 1
	}
	m.me = ReplicaBoot{uuidOf(i, m.lives), Boot{count, "n"}}
	m.durable = len(m.journal)
	m.core = NewReplica(stillConfig(), 0, m.me, m.saved())
	m.work, m.lead, m.told, m.reading, m.conns, m.cut = nil, 0, 0, nil, 0, nil
	m.seen = m.core.Commit()
	if !s.b.fine {
		s.registers(i)
	}
}

// registers enters the present boot of a node.
func (s *spot) registers(i int) bool {
	m := s.machines[i]
	if e, ok := s.reg.Nodes[nameOf(i)]; ok && e.UUID == m.me.UUID && e.Boot == m.me.Boot {
		return false
	}
	return s.applies(Command{Register: &Register{
		Node:  NodeEntry{Name: nameOf(i), UUID: m.me.UUID, Boot: m.me.Boot, Address: nameOf(i), Priority: DefaultPriority},
		Epoch: m.accepted, Empty: len(m.journal) == 0,
	}})
}

// dies ends a process. What its disk had not answered is there or not.
func (s *spot) dies(i int, keep bool) {
	m := s.machine(i)
	if !keep {
		m.journal = slices.Clip(m.journal[:m.durable])
	}
	for k, w := range s.wires {
		if w.from == i {
			w = s.wire(k)
			w.broken, w.down, w.sid = true, nil, 0
		}
		if w.to == i {
			w = s.wire(k)
			w.broken, w.deaf, w.up = true, true, nil
		}
	}
}

// then does what an event at node i has made possible.
func (s *spot) then(i int) {
	m := s.machine(i)
	if !s.b.fine && m.core.reign != nil {
		m.core.Tick(wall)
	}
	for again := true; again; {
		s.look(i)
		again = m.core.Pending()
		for _, e := range slices.Clone(m.core.Effects()) {
			s.notes(i, e)
		}
		for !s.b.fine && len(m.work) > 0 {
			s.works(i)
			again = true
		}
	}
	s.feeds(i)
}

// look notices what the core has committed or confirmed.
func (s *spot) look(i int) {
	m := s.machine(i)
	if c := m.core.Commit(); c != m.seen {
		s.ledger.committed(m, m.seen, c)
		m.seen = c
	}
	if m.lead == 0 || m.core.reign == nil {
		return
	}
	if done := min(m.seen, m.last().Seq); done > m.told && s.ledger.broken == "" {
		m.told = done
		s.ledger.acknowledged(m.journal[done-1].at)
	}
	done := m.core.Land(wall)
	m.reading = slices.DeleteFunc(m.reading, func(r reading) bool {
		if !m.core.Serving() || r.round > done {
			return false
		}
		s.ledger.answered(m, r)
		return true
	})
}

// notes keeps the effects of a change of role for later; the others are sent or
// done at once, for what is sent may arrive at any time.
func (s *spot) notes(i int, e Effect) {
	switch e.Kind {
	case EffectPropose:
		s.asks(e.Change)
	case EffectDropPeer:
		for k, w := range s.wires {
			if w.to == i && w.pid == e.Conn && !w.deaf {
				w = s.wire(k)
				w.broken, w.deaf, w.up = true, true, nil
			}
		}
	case EffectLog, EffectServe, EffectSealed, EffectReopen:
	case EffectEndRole, EffectPersistEpoch, EffectSettle, EffectBeginReign, EffectBeginFollow:
		s.machine(i).work = append(s.machine(i).work, e)
	}
}

// works carries out one effect of a change of role.
func (s *spot) works(i int) {
	m := s.machine(i)
	e := m.work[0]
	m.work = m.work[1:]
	switch e.Kind {
	case EffectEndRole:
		s.ends(i)
	case EffectPersistEpoch:
		if e.Epoch < m.accepted {
			s.ledger.fail("%s accepts epoch %d after %d", m.me, e.Epoch, m.accepted)
		}
		m.accepted = e.Epoch
	case EffectSettle:
		m.core.Settled(m.accepted, wall)
	case EffectBeginReign:
		m.lead, m.told = e.Epoch, m.last().Seq
		s.ledger.begins(m)
		s.appends(i)
	case EffectBeginFollow, EffectServe, EffectPropose, EffectDropPeer, EffectLog, EffectSealed, EffectReopen:
	}
}

// ends is the end of a role: its connections close, and its disk is waited for.
func (s *spot) ends(i int) {
	m := s.machine(i)
	m.lead, m.told, m.reading = 0, 0, nil
	for k, w := range s.wires {
		switch {
		case w.to == i && !w.deaf:
			w = s.wire(k)
			w.broken, w.deaf, w.up = true, true, nil
		case w.from == i && !w.broken:
			s.wire(k).broken = true
		}
	}
	s.syncs(i)
}

// appends writes a record as a primary.
func (s *spot) appends(i int) {
	m := s.machine(i)
	at := Position{m.lead, m.last().Seq + 1}
	s.ledger.makes(m, at)
	m.journal = append(m.journal, written{at, m.core.Commit()})
	m.core.Appended(at, wall)
	if !s.b.fine {
		s.syncs(i)
	}
}

// syncs makes a journal durable, and acknowledges it where there is a stream.
func (s *spot) syncs(i int) {
	m := s.machine(i)
	if m.cut != nil {
		s.cuts(i)
		return
	}
	if m.durable == len(m.journal) {
		return
	}
	before := m.durable
	m.durable = len(m.journal)
	m.core.Synced(Seq(m.durable), wall)
	k := s.current(i)
	if k < 0 || m.core.Role() != RoleStandby {
		return
	}
	var commit Seq
	for _, r := range m.journal[before:] {
		commit = max(commit, r.commit)
	}
	w := s.wires[k]
	_ = m.core.LearnCommit(w.sid, w.epoch, commit) // refused in another epoch
	s.acks(k)
}
