package protocol

import "slices"

// bounds says what an exploration may do. Everything that they leave open is done
// in every order.
type bounds struct {
	nodes int
	// fine takes every step apart; without it steps that commute with those of
	// everybody else are done at once: see the comment of TestExploration.
	fine bool

	epochs                                 Epoch
	writes, reads, crashes, losses, breaks int
	versions                               Version // of the group's record, beyond the root's
	// late is how many versions of the record may still be on their way, as a
	// record, as what a command or a decision of the monitor was based on.
	late int
	// wires is how many connections of one standby may still say something.
	wires int
	// cuts takes the cutting of a journal apart from the welcome that asks for it.
	cuts bool
}

const (
	maxEpochs = 4
	maxNodes  = 3
)

// spot is one state of a whole group: real replicas and a real registry between
// made-up disks and a made-up network, and no time. A spot that has been reached
// is never changed: a step copies what it touches.
type spot struct {
	b        *bounds // what may still happen, counted from the root
	reg      Registry
	records  []GroupRecord  // the newest versions, oldest first: each may arrive at any time
	bag      []ChangeInSync // all that was ever asked for: each may be applied at any time
	machines [maxNodes]*machine
	wires    []*wire
	own      [maxNodes]bool // the machine has been copied for the present step
	ledger   ledger

	writes, reads, crashes, losses, breaks int // done so far
	last                                   Version
}

// machine is a node: its directory, and the process that has it open. A process
// that dies is started again at once; it is nobody until a record reaches it.
type machine struct {
	lives    int // directories so far
	accepted Epoch
	journal  []written
	durable  int  // journal[:durable] survives a crash for certain
	cut      *Seq // the journal is being cut after this

	me    ReplicaBoot
	core  *Replica
	work  []Effect // of a change of role, not carried out yet
	conns ConnID
	seen  Seq // the commit seq, as last looked at

	lead    Epoch // the epoch that this process reigns, 0: none
	told    Seq   // acknowledged up to here, in its reign
	reading []reading
}

type written struct {
	at     Position
	commit Seq // known when it was appended
}

// reading is a linearizable read that waits at a primary. Its answer may show
// nothing older than floor.
type reading struct {
	floor, shows Seq
	round        uint64
}

// wire is one connection of a standby to a primary: two queues that keep their
// order. Once it is broken nothing more is sent, what is under way may arrive, and
// each end learns of it when it will.
type wire struct {
	from, to int    // the standby and the primary
	sid, pid ConnID // its number at either end
	broken   bool
	deaf     bool // the primary's end is gone

	epoch     Epoch // of the welcome
	next      Seq   // the primary's next record to send
	committed Seq
	confirm   uint64

	up, down []parcel
}

// parcel is a message of a stream, by what is set in it.
type parcel struct {
	hello   *Hello
	welcome bool
	part    Seq

	epoch   Epoch
	records []written
	commit  Seq
	confirm uint64
	ack     bool
	durable Seq
}

func (m *machine) last() Position {
	if len(m.journal) == 0 {
		return Position{}
	}
	return m.journal[len(m.journal)-1].at
}

func (m *machine) saved() Saved {
	s := Saved{Accepted: m.accepted, Last: m.last()}
	for _, r := range m.journal {
		s.Commit = max(s.Commit, r.commit)
		if n := len(s.Boundaries); n == 0 || s.Boundaries[n-1].Epoch != r.at.Epoch {
			s.Boundaries = append(s.Boundaries, Boundary{r.at.Epoch, r.at.Seq})
		}
	}
	return s
}

// uuidOf names the directories of a node: A1, A2.
func uuidOf(i, life int) UUID {
	const all = "A1A2B1B2C1C2"
	return UUID(all[4*i+2*life-2:][:2])
}

// nodeOf is the reverse of uuidOf.
func nodeOf(u UUID) (i, life int) { return int(u[0] - 'A'), int(u[1] - '0') }

func nameOf(i int) string { return "ABC"[i:][:1] }

// copy returns a spot that may be changed; machines and wires are shared until
// they are asked for with machine and wire.
func (s *spot) copy() *spot {
	c := *s
	c.records = slices.Clip(s.records)
	c.bag = slices.Clip(s.bag)
	c.wires = slices.Clone(s.wires)
	c.ledger.settled = slices.Clip(s.ledger.settled)
	c.own = [maxNodes]bool{}
	return &c
}

// machine returns a node of the spot for changing.
func (s *spot) machine(i int) *machine {
	if !s.own[i] {
		m := *s.machines[i]
		m.journal = slices.Clip(m.journal)
		m.work = slices.Clone(m.work)
		m.reading = slices.Clone(m.reading)
		m.core = m.core.copyForExploring()
		s.machines[i], s.own[i] = &m, true
	}
	return s.machines[i]
}

// wire returns a connection of the spot for changing.
func (s *spot) wire(i int) *wire {
	w := *s.wires[i]
	w.up, w.down = slices.Clip(w.up), slices.Clip(w.down)
	s.wires[i] = &w
	return &w
}

// directory returns the node whose present directory is u, or nil.
func (s *spot) directory(u UUID) *machine {
	i, life := nodeOf(u)
	if m := s.machines[i]; m.lives == life {
		return m
	}
	return nil
}

// current returns the connection that node i dialled last, unless it is broken.
func (s *spot) current(i int) int {
	return slices.IndexFunc(s.wires, func(w *wire) bool {
		return w.from == i && !w.broken && w.sid == s.machines[i].core.follow.conn
	})
}

func (s *spot) record() GroupRecord { return s.reg.Groups[0] }

// applies has the registry judge a command. What it refuses changes nothing.
func (s *spot) applies(c Command) bool {
	before := s.record()
	reg, no := s.reg.Apply(c)
	if no != nil {
		return false
	}
	s.reg = reg
	s.reg.History, s.reg.NextID = nil, 0
	now := s.record()
	s.ledger.registry(before, now)
	if c.Register == nil || now.Version != before.Version {
		s.records = append(s.records, now)
		s.forget(s.b.late)
	}
	return true
}

// forget drops what is more than so many versions late.
func (s *spot) forget(late int) {
	if n := len(s.records); n > late {
		s.records = s.records[n-late:]
	}
	oldest := s.records[0].Version
	if slices.ContainsFunc(s.bag, func(c ChangeInSync) bool { return c.Version < oldest }) {
		s.bag = slices.DeleteFunc(slices.Clone(s.bag), func(c ChangeInSync) bool { return c.Version < oldest })
	}
}

// asks keeps what a primary asked for.
func (s *spot) asks(c ChangeInSync) {
	c.Reason = ""
	c.InSync = slices.Sorted(slices.Values(c.InSync))
	if !slices.ContainsFunc(s.bag, func(o ChangeInSync) bool {
		return o.Version == c.Version && o.Epoch == c.Epoch && o.Primary == c.Primary && slices.Equal(o.InSync, c.InSync)
	}) {
		s.bag = append(s.bag, c)
	}
}
