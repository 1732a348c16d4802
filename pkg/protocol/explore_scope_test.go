package protocol

// bornAt returns the first state: A is the primary of epoch 1, alone and serving;
// the others have just started and know nothing.
func bornAt(b *bounds) *spot {
	s := &spot{b: b, last: ^Version(0)}
	coarse := *b
	coarse.fine = false
	s.b = &coarse
	s.applies(Command{Found: &Found{Cluster: "c", Settings: DefaultSettings()}})
	var all []UUID
	for i := range maxNodes {
		s.machines[i], s.own[i] = &machine{lives: 1}, true
		if i < b.nodes {
			s.starts(i)
			all = append(all, uuidOf(i, 1))
		}
	}
	s.applies(Command{SetMembers: &SetMembers{Members: all}})
	s.applies(Command{Promote: &Promote{Version: s.record().Version, Primary: s.machines[0].me}})
	s.does(move{kind: moveRecord, a: 0, b: uint8(len(s.records) - 1)})
	return s.asRoot(b)
}

// joinedAt returns the state in which everybody is in sync, and all is quiet.
func joinedAt(b *bounds) *spot {
	s := bornAt(b)
	return s.inCoarseSteps(b, func() { s.joins(b.nodes) })
}

// behindAt returns the state of three nodes in which A and B are in sync, and C has
// seen the first record alone. A has acknowledged a second one, and B does not know
// yet that it is committed.
func behindAt(b *bounds) *spot {
	s := bornAt(b)
	return s.inCoarseSteps(b, func() {
		s.does(move{kind: moveRecord, a: 2, b: uint8(len(s.records) - 1)})
		s.does(move{kind: moveDial, a: 2})
		s.delivers(s.current(2), true)
		s.does(move{kind: moveBreak, a: uint8(s.current(2))})
		s.does(move{kind: moveGone})
		s.sweeps()
		s.joins(2)
		s.does(move{kind: moveWrite})
		s.delivers(s.current(1), true)
		s.delivers(s.current(1), false)
		w := s.wire(s.current(1))
		w.down, w.broken, w.deaf = nil, true, true
		s.sweeps()
	})
}

func (s *spot) inCoarseSteps(b *bounds, do func()) *spot {
	coarse := *b
	coarse.fine = false
	s.b, s.last = &coarse, ^Version(0)
	do()
	return s.asRoot(b)
}

// joins has everybody below n follow A until all are in sync and know it.
func (s *spot) joins(n int) {
	for range 40 {
		for i := range n {
			s.does(move{kind: moveRecord, a: uint8(i), b: uint8(len(s.records) - 1)})
			if i > 0 && s.current(i) < 0 {
				s.does(move{kind: moveDial, a: uint8(i)})
			}
		}
		for k := range s.wires {
			s.delivers(k, true)
			s.delivers(k, false)
		}
		for _, c := range s.bag {
			if s.applies(Command{ChangeInSync: &c}) {
				break
			}
		}
	}
}

// asRoot forgets how the spot came to be.
func (s *spot) asRoot(b *bounds) *spot {
	s.b = b
	s.forget(1)
	s.bag = nil
	s.own = [maxNodes]bool{}
	s.last = s.record().Version + b.versions
	s.always()
	return s
}

type scope struct {
	name   string
	bounds bounds
	states int // in an ordinary run
	roots  []root
}

// root is where an exploration begins.
type root struct {
	name string
	of   func(*bounds) *spot
}

func scopes() []scope {
	both := []root{{"born", bornAt}, {"joined", joinedAt}}
	return []scope{
		{"two nodes, every step", bounds{nodes: 2, fine: true, epochs: 2, writes: 1, crashes: 1, versions: 3, late: 2, wires: 1}, 100_000, both},
		{"two nodes", bounds{nodes: 2, epochs: 3, writes: 1, crashes: 1, breaks: 1, versions: 4, late: 2, wires: 1}, 100_000, both},
		{"two nodes, late", bounds{nodes: 2, epochs: 2, writes: 1, breaks: 2, versions: 4, late: 3, wires: 2}, 100_000, both},
		{"two nodes, reads", bounds{nodes: 2, epochs: 2, writes: 1, reads: 2, breaks: 1, versions: 4, late: 2, wires: 1}, 100_000, both},
		{"two nodes, lost disk", bounds{nodes: 2, epochs: 2, writes: 1, losses: 1, versions: 5, late: 2, wires: 1}, 100_000, both},
		{"two nodes, slow cuts", bounds{nodes: 2, epochs: 2, writes: 1, versions: 2, late: 2, wires: 1, cuts: true}, 100_000, both[1:]},
		{"three nodes, one behind", bounds{nodes: 3, epochs: 3, versions: 3, late: 1, wires: 1}, 100_000, []root{{"behind", behindAt}}},
		{"three nodes", bounds{nodes: 3, epochs: 2, writes: 1, breaks: 1, versions: 4, late: 2, wires: 1}, 100_000, both},
	}
}
