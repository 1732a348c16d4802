package protocol

import (
	"hash/maphash"
	"slices"
)

// printer makes fingerprints of spots. Two spots have the same one when they
// differ in nothing that matters later: times, the numbers of connections, the
// order of sets and texts are left out, and with three nodes the last two may
// change places.
type printer struct {
	seed maphash.Seed
	buf  []byte
	swap bool // B and C change places
}

func (p *printer) fingerprint(s *spot) uint64 {
	p.swap = false
	sum := p.sum(s)
	if s.b.nodes == 3 {
		p.swap = true
		sum = min(sum, p.sum(s))
	}
	return sum
}

func (p *printer) sum(s *spot) uint64 {
	p.buf = p.buf[:0]
	p.put(s.writes, s.reads, s.crashes, s.losses, s.breaks)
	for i := range s.b.nodes {
		i = p.index(i)
		n := s.reg.Nodes[nameOf(i)]
		p.boot(ReplicaBoot{n.UUID, n.Boot})
	}
	for _, r := range s.records {
		p.put(int(r.Version), int(r.Epoch), p.set(r.InSync), p.set(r.Members), p.set(r.Down))
		p.boot(r.Primary)
	}
	p.list(len(s.bag), func(i int) {
		c := s.bag[i]
		p.put(int(c.Version), int(c.Epoch), p.set(c.InSync))
		p.boot(c.Primary)
	})
	for i := range s.b.nodes {
		p.machine(s.machines[p.index(i)])
	}
	p.list(len(s.wires), func(i int) { p.wire(s, s.wires[i]) })
	p.ledger(&s.ledger)
	return maphash.Bytes(p.seed, p.buf)
}

// index renames a node. It is its own inverse.
func (p *printer) index(i int) int {
	if p.swap && i > 0 {
		return 3 - i
	}
	return i
}

func (p *printer) put(values ...int) {
	for _, v := range values {
		p.buf = append(p.buf, byte(v))
	}
}

func (p *printer) flag(flags ...bool) {
	for _, f := range flags {
		if f {
			p.buf = append(p.buf, 1)
		} else {
			p.buf = append(p.buf, 0)
		}
	}
}

// uuid is 0 for none.
func (p *printer) uuid(u UUID) int {
	if u == "" {
		return 0
	}
	i, life := nodeOf(u)
	return p.index(i)*2 + life
}

func (p *printer) set(us []UUID) int {
	bits := 0
	for _, u := range us {
		bits |= 1 << p.uuid(u)
	}
	return bits
}

func (p *printer) boot(b ReplicaBoot) { p.put(p.uuid(b.UUID), int(b.Boot.Count)) }

func (p *printer) at(at Position) { p.put(int(at.Epoch), int(at.Seq)) }

// list puts the elements of a set in an order that depends on nothing else.
func (p *printer) list(n int, put func(i int)) {
	p.put(n)
	if n < 2 {
		if n == 1 {
			put(0)
		}
		return
	}
	start := len(p.buf)
	parts := make([]string, 0, n)
	for i := range n {
		from := len(p.buf)
		put(i)
		parts = append(parts, string(p.buf[from:]))
	}
	slices.Sort(parts)
	p.buf = p.buf[:start]
	for _, s := range parts {
		p.buf = append(p.buf, s...)
		p.buf = append(p.buf, 0xff)
	}
}

func (p *printer) written(rs []written) {
	p.put(len(rs))
	for _, r := range rs {
		p.at(r.at)
		p.put(int(r.commit))
	}
}

func (p *printer) machine(m *machine) {
	p.boot(m.me)
	p.put(int(m.accepted), m.durable, int(m.lead), int(m.told), int(m.seen), len(m.work), len(m.reading))
	p.written(m.journal)
	p.flag(m.cut != nil)
	if m.cut != nil {
		p.put(int(*m.cut))
	}
	for _, e := range m.work {
		p.put(int(e.Kind), int(e.Epoch))
	}
	for _, r := range m.reading {
		p.put(int(r.floor), int(r.shows), int(r.round))
	}
	r := m.core
	p.put(int(r.accepted), int(r.record.Version), int(r.record.Epoch), int(r.phase), int(r.last.Epoch), int(r.last.Seq), int(r.durable), int(r.commit))
	p.put(p.set(r.record.InSync), len(r.boundaries))
	p.flag(r.follow.conn != 0, r.follow.welcomed, r.reign != nil, r.lastTick.IsZero())
	p.put(int(r.follow.matched), int(r.follow.leaderCommit))
	g := r.reign
	if g == nil {
		return
	}
	p.flag(g.serving, g.rounds.wanted)
	p.put(int(g.epoch), int(g.start), int(g.confirm), int(g.rounds.flying))
	p.put(int(g.asked.version), p.set(g.asked.set), p.set(g.asked.added))
	for life := 1; life <= 2; life++ {
		for i := range maxNodes {
			if q := g.peers[uuidOf(p.index(i), life)]; q != nil {
				p.put(i*2+life, int(q.durable), int(q.confirmed))
				p.flag(q.conn != 0, q.ever, q.trouble != "", q.entering)
			}
		}
	}
}

// wire tells a connection by whether its ends still know it.
func (p *printer) wire(s *spot, w *wire) {
	from, to := s.machines[w.from], s.machines[w.to]
	known := false
	if g := to.core.reign; g != nil && w.pid != 0 && !w.deaf {
		known = g.byConn(w.pid) != nil
	}
	p.put(p.index(w.from), p.index(w.to))
	p.flag(w.broken, w.deaf, w.sid != 0 && w.sid == from.core.follow.conn, w.pid != 0, known)
	p.put(int(w.epoch), int(w.next), int(w.committed), int(w.confirm), len(w.up))
	for _, q := range [2][]parcel{w.up, w.down} {
		p.put(len(q))
		for _, c := range q {
			p.flag(c.hello != nil, c.welcome, c.ack)
			p.put(int(c.part), int(c.epoch), int(c.commit), int(c.confirm), int(c.durable))
			p.written(c.records)
			if c.hello != nil {
				p.boot(ReplicaBoot{c.hello.UUID, c.hello.Boot})
				p.put(int(c.hello.Epoch), int(c.hello.Last), len(c.hello.Boundaries))
				for _, b := range c.hello.Boundaries {
					p.put(int(b.Epoch), int(b.First))
				}
			}
		}
	}
}

func (p *printer) ledger(l *ledger) {
	for _, g := range l.reigns {
		p.boot(g.by)
		p.at(g.before)
		p.put(int(g.first), int(g.last), int(g.told))
	}
	p.put(len(l.settled), int(l.led), int(l.readTop))
	for _, at := range l.settled {
		p.at(at)
	}
	p.at(l.top)
}
