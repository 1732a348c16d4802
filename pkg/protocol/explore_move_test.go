package protocol

import (
	"fmt"
	"slices"
	"strings"
)

// move is one thing that may happen, by its kind and up to three numbers.
type move struct{ kind, a, b, c uint8 }

const (
	moveDown    uint8 = iota // the standby end of a connection gets a message
	moveUp                   // the primary end does
	moveDial                 // a standby dials
	moveRecord               // a node gets a record
	moveApply                // the registry gets what a primary asked for
	movePromote              // the registry gets a decision of the monitor
	moveWrite                // a client writes
	moveRead                 // a client reads
	moveSync                 // the disk answers
	moveWork                 // a change of role goes on
	moveTick                 // a primary looks at its standbys
	moveEnter                // a node registers
	moveBreak                // a connection breaks
	moveGone                 // the primary learns that it is broken
	moveTrouble              // a standby says that it cannot hold records
	moveCrash                // a node stops and starts
	moveLose                 // a node loses its disk
)

// Who is held for down when the monitor promotes.
const (
	downNobody uint8 = iota
	downOld          // the primary so far
	downOthers       // everybody else
	downChoices
)

// moves lists what may happen next; some of it turns out to change nothing.
func (s *spot) moves(out []move) []move {
	b := s.b
	add := func(can bool, kind uint8, abc ...int) {
		if can {
			m := move{kind: kind}
			for i, v := range abc {
				*[]*uint8{&m.a, &m.b, &m.c}[i] = uint8(v)
			}
			out = append(out, m)
		}
	}
	for k, w := range s.wires {
		add(len(w.down) > 0, moveDown, k)
		add(len(w.up) > 0 && !w.deaf, moveUp, k)
		add(!w.broken && s.breaks < b.breaks, moveBreak, k)
		add(w.broken && !w.deaf && w.pid != 0, moveGone, k)
		add(b.fine && !w.broken && !w.deaf && w.pid != 0 && s.breaks < b.breaks, moveTrouble, k)
	}
	rec := s.record()
	for i, m := range s.machines[:b.nodes] {
		add(m.core.phase == phaseFollowing && len(m.work) == 0 && m.durable == len(m.journal) && m.cut == nil && s.current(i) < 0 &&
			s.directory(m.core.record.Primary.UUID) != nil, moveDial, i)
		for k, r := range s.records {
			add(r.Version != m.core.record.Version, moveRecord, i, k)
		}
		leads := m.lead != 0 && m.core.reign != nil && len(m.work) == 0
		add(leads && m.core.Serving() && s.writes < b.writes, moveWrite, i)
		add(leads && m.core.Serving() && s.reads < b.reads, moveRead, i)
		add(b.fine && m.durable < len(m.journal) || m.cut != nil, moveSync, i)
		add(len(m.work) > 0, moveWork, i)
		add(b.fine && m.core.reign != nil, moveTick, i)
		add(b.fine, moveEnter, i)
		add(s.crashes < b.crashes, moveCrash, i, 1)
		add(s.crashes < b.crashes && m.durable < len(m.journal), moveCrash, i, 0)
		add(s.losses < b.losses && m.lives == 1 && len(m.journal) > 0 && s.survives(i), moveLose, i)
		for k := range s.records {
			for down := range int(downChoices) {
				add(rec.Epoch < b.epochs && rec.Version < s.last, movePromote, i, k, down)
			}
		}
	}
	for k := range s.bag {
		add(rec.Version < s.last, moveApply, k)
	}
	return out
}

// survives tells whether a copy of the in-sync set is left without node i: without
// one nothing could be promised.
func (s *spot) survives(i int) bool {
	return slices.ContainsFunc(s.record().InSync, func(u UUID) bool {
		n, _ := nodeOf(u)
		return n != i && s.directory(u) != nil
	})
}

// step returns the spot after a move, nil if the move changes nothing. A panic,
// such as an assertion of the core, is a finding.
func (s *spot) step(mv move) (next *spot) {
	n := s.copy()
	defer func() {
		if p := recover(); p != nil {
			n.ledger.fail("panic: %v", p)
			next = n
		}
	}()
	if !n.does(mv) {
		return nil
	}
	n.sweeps()
	n.always()
	return n
}

func (s *spot) does(mv move) bool {
	a := int(mv.a)
	switch mv.kind {
	case moveDown, moveUp:
		s.delivers(a, mv.kind == moveDown)
	case moveDial:
		s.dials(a)
		s.then(a)
	case moveRecord:
		if !s.machine(a).core.Record(s.records[mv.b], wall) {
			return false
		}
		s.then(a)
	case moveApply:
		c := s.bag[a]
		return s.applies(Command{ChangeInSync: &c})
	case movePromote:
		return s.promotes(a, s.records[mv.b], mv.c)
	case moveWrite:
		s.writes++
		s.appends(a)
		s.then(a)
	case moveRead:
		s.reads++
		s.reads1(a)
		s.then(a)
	case moveSync:
		s.syncs(a)
		s.then(a)
	case moveWork:
		s.works(a)
		s.then(a)
	case moveTick:
		s.machine(a).core.Tick(wall)
		s.then(a)
	case moveEnter:
		return s.registers(a)
	case moveBreak:
		s.breaks++
		s.wire(a).broken = true
	case moveGone:
		w := s.wire(a)
		w.deaf, w.up = true, nil
		s.machine(w.to).core.PeerGone(w.pid, wall)
		s.then(w.to)
	case moveTrouble:
		w := s.wires[a]
		s.breaks++
		s.machine(w.to).core.Trouble(w.pid, w.epoch, "disk_full", wall)
		s.then(w.to)
	case moveCrash, moveLose:
		s.crashes++
		s.dies(a, mv.b == 1)
		if m := s.machine(a); mv.kind == moveLose {
			s.crashes--
			s.losses++
			m.lives, m.accepted, m.journal, m.durable = m.lives+1, 0, nil, 0
		}
		s.starts(a)
	}
	return true
}

// promotes is a decision of the monitor on some record, under the boot that is
// registered: the registry judges it.
func (s *spot) promotes(i int, on GroupRecord, down uint8) bool {
	e := s.reg.Nodes[nameOf(i)]
	p := Promote{Version: on.Version, Primary: ReplicaBoot{e.UUID, e.Boot}}
	for _, u := range on.InSync {
		if u != e.UUID && (down == downOthers || down == downOld && u == on.Primary.UUID) {
			p.Down = append(p.Down, u)
		}
	}
	if down != downNobody && len(p.Down) == 0 || down == downOld && len(p.Down) == len(on.InSync)-1 {
		return false // as another choice
	}
	return s.applies(Command{Promote: &p})
}

// reads1 begins a read at a primary.
func (s *spot) reads1(i int) {
	m := s.machine(i)
	r := reading{floor: s.ledger.shown(), shows: m.core.Commit()}
	if m.core.Alone() {
		s.ledger.answered(m, r)
		return
	}
	r.round = m.core.Join(wall)
	m.reading = append(m.reading, r)
}

// describe says a move in words, in the spot in which it happens.
func (s *spot) describe(mv move) string {
	who := func() string { return nameOf(int(mv.a)) }
	wire := func() string {
		w := s.wires[mv.a]
		return fmt.Sprintf("%s-%s", nameOf(w.from), nameOf(w.to))
	}
	switch mv.kind {
	case moveDown, moveUp:
		w := s.wires[mv.a]
		to, queue := nameOf(w.to), w.up
		if mv.kind == moveDown {
			to, queue = nameOf(w.from), w.down
		}
		if s.b.fine {
			queue = queue[:1]
		}
		return fmt.Sprintf("%s gets, on its connection with %s: %s", to, strings.Trim(strings.Replace(wire(), to, "", 1), "-"), tellParcels(queue))
	case moveDial:
		return who() + " dials " + string(s.machines[mv.a].core.record.Primary.UUID)
	case moveRecord:
		return who() + " gets " + tellRecord(s.records[mv.b])
	case moveApply:
		c := s.bag[mv.a]
		return fmt.Sprintf("the registry gets, of %s on v%d: in sync %v", c.Primary, c.Version, c.InSync)
	case movePromote:
		return fmt.Sprintf("the monitor promotes %s on v%d, down: %s", who(), s.records[mv.b].Version, [...]string{"nobody", "the old primary", "all others"}[mv.c])
	case moveCrash:
		return fmt.Sprintf("%s crashes and starts again, the unsynced tail is %s", who(), [...]string{"lost", "kept"}[mv.b])
	case moveBreak:
		return "the connection " + wire() + " breaks"
	case moveGone:
		return "the primary learns that " + wire() + " is broken"
	case moveTrouble:
		return "the standby of " + wire() + " says that its disk is full"
	}
	return who() + map[uint8]string{
		moveWrite: " writes", moveRead: " gets a read", moveSync: " has its disk's answer", moveWork: " goes on changing its role",
		moveTick: " looks at its standbys", moveEnter: " registers", moveLose: " loses its disk and starts empty",
	}[mv.kind]
}

func tellRecord(r GroupRecord) string {
	return fmt.Sprintf("v%d: epoch %d of %s, in sync %v, down %v", r.Version, r.Epoch, r.Primary, r.InSync, r.Down)
}

func tellParcels(ps []parcel) string {
	var out []string
	for _, p := range ps {
		switch {
		case p.hello != nil:
			out = append(out, fmt.Sprintf("hello, epoch %d, %d records", p.hello.Epoch, p.hello.Last))
		case p.welcome:
			out = append(out, fmt.Sprintf("welcome to epoch %d after %d", p.epoch, p.part))
		}
		for _, r := range p.records {
			out = append(out, "record "+r.at.String())
		}
		if p.ack {
			out = append(out, fmt.Sprintf("ack %d", p.durable))
		}
		if p.commit > 0 {
			out = append(out, fmt.Sprintf("commit %d", p.commit))
		}
		if p.confirm > 0 {
			out = append(out, fmt.Sprintf("confirm %d", p.confirm))
		}
	}
	return strings.Join(out, ", ")
}

// summary tells a spot in one line.
func (s *spot) summary() string {
	out := fmt.Sprintf("registry %s", tellRecord(s.record()))
	for i, m := range s.machines[:s.b.nodes] {
		out += fmt.Sprintf("; %s %s", nameOf(i), m.core.Role())
		if m.core.Role() == RolePrimary {
			out += fmt.Sprintf(" of %d view %v", m.core.Accepted(), m.core.View())
		}
		out += fmt.Sprintf(" v%d %s durable %d commit %d", m.core.record.Version, m.last(), m.durable, m.core.Commit())
	}
	return out
}
