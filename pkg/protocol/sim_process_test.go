package protocol_test

import (
	"fmt"
	"slices"
	"time"

	"understudy.example/pkg/protocol"
)

// process is one start of a node: the shell around the core, in short.
type process struct {
	w      *world
	n      *node
	dir    *directory
	me     protocol.ReplicaBoot
	core   *protocol.Replica
	dead   bool
	frozen time.Time // until then nothing of it happens

	effects []protocol.Effect
	working bool
	role    int  // raised when a role ends
	busy    bool // the disk is being written, and nobody else may
	commit  protocol.Seq

	lead   *leading
	peers  map[protocol.ConnID]*stream // of a primary
	in     *stream                     // of a standby
	queue  []batch                     // received and not yet written
	connID protocol.ConnID
	asked  []*pendingRead // a standby's reads

	knows    map[string]protocol.UUID // the other directories that the registry has told it of
	stopping bool                     // it hands over and exits
	sealing  sealing
}

// leading is the work of a primary.
type leading struct {
	epoch protocol.Epoch
	queue int // writes that wait for the disk
	wait  []entry
	reads []*pendingRead

	requests []copied     // that wait for the disk
	judged   []judgedCopy // that wait for the commit
}

// batch is a run of records that arrived on a stream.
type batch struct {
	s       *stream
	records []entry
}

func (w *world) startProcess(n *node) {
	if n.dir == nil {
		n.lives++
		n.dir = &directory{uuid: protocol.UUID(fmt.Sprintf("%s%d", n.name, n.lives))}
	}
	n.dir.boots++
	p := &process{
		w: w, n: n, dir: n.dir, peers: map[protocol.ConnID]*stream{},
		me: protocol.ReplicaBoot{UUID: n.dir.uuid, Boot: protocol.Boot{Count: n.dir.boots, Nonce: fmt.Sprintf("x%d", w.rng.Uint32())}},
	}
	n.dir.durable = len(n.dir.records)
	p.core = protocol.NewReplica(simConfig(), 0, p.me, n.dir.saved())
	p.commit = p.core.Commit()
	n.process = p
	w.tell("%s starts as %s with %s, accepted %d, commit %d", n.name, p.me, n.dir.last(), n.dir.accepted, p.commit)
	alive := func(do func()) func() bool {
		return func() bool {
			p.event(do)
			return !p.dead
		}
	}
	w.every(10*time.Millisecond, alive(p.tick))
	w.every(100*time.Millisecond, alive(p.heartbeat))
	w.every(15*time.Millisecond, alive(p.client))
	w.every(10*time.Millisecond, alive(p.read))
	p.event(p.heartbeat)
}

func simConfig() protocol.ReplicaConfig {
	c := protocol.DefaultReplicaConfig()
	c.OutMax = 4 * time.Second // so that the end of a run is not far
	c.EnterBytes = 8 * entryBytes
	return c
}

const entryBytes = 100

// event has something happen in the process, when it is not frozen, and then does
// what follows from it.
func (p *process) event(do func()) {
	switch {
	case p.dead:
	case p.w.now.Before(p.frozen):
		p.w.after(p.frozen.Sub(p.w.now), func() { p.event(do) })
	default:
		do()
		p.follow()
	}
}

// later has something happen in the process when d has passed.
func (p *process) later(d time.Duration, do func()) { p.w.after(d, func() { p.event(do) }) }

// follow does what an event may have made possible.
func (p *process) follow() {
	if p.dead {
		return
	}
	if c := p.core.Commit(); c != p.commit {
		p.w.check.committed(p.w, p, p.commit, c)
		p.commit = c
	}
	if l := p.lead; l != nil {
		for len(l.wait) > 0 && l.wait[0].at.Seq <= p.acknowledgeable() {
			p.w.check.acknowledged(p.w, p, l.wait[0])
			l.wait = l.wait[1:]
		}
		p.tellJudged()
		p.land()
	}
	p.answerAsked()
	if p.lead != nil {
		p.feed()
	}
	if p.core.Pending() {
		p.kick()
	}
}

func (p *process) kick() {
	if !p.working {
		p.working = true
		p.later(p.w.upTo(time.Millisecond), p.work)
	}
}

// work does the core's effects one by one, in order; the process may die between
// any two of them.
func (p *process) work() {
	if len(p.effects) == 0 {
		p.effects = slices.Clone(p.core.Effects())
	}
	if len(p.effects) == 0 {
		p.working = false
		return
	}
	if p.do(p.effects[0]) {
		p.effects = p.effects[1:]
	}
	p.later(p.w.upTo(time.Millisecond), p.work)
}

// do carries out one effect, or tells that it must be tried again.
func (p *process) do(e protocol.Effect) bool {
	switch e.Kind {
	case protocol.EffectEndRole:
		return p.endRole()
	case protocol.EffectPersistEpoch:
		p.w.check.accepts(p.w, p.dir, e.Epoch)
		p.dir.accepted = e.Epoch
	case protocol.EffectSettle:
		p.core.Settled(p.dir.accepted, p.w.now)
	case protocol.EffectBeginReign:
		p.w.tell("%s begins its reign of epoch %d after %s", p.n.name, e.Epoch, p.dir.last())
		p.lead = &leading{epoch: e.Epoch}
		p.append(1, p.me)
	case protocol.EffectBeginFollow:
		p.w.tell("%s follows %s in epoch %d", p.n.name, e.Peer, p.core.Accepted())
		p.dial(e.Peer)
	case protocol.EffectServe:
		p.w.tell("%s serves in epoch %d", p.n.name, e.Epoch)
	case protocol.EffectPropose:
		p.propose(e.Change)
	case protocol.EffectDropPeer:
		if s := p.peers[e.Conn]; s != nil {
			delete(p.peers, e.Conn)
			s.broken()
		}
	case protocol.EffectLog:
		p.w.tell("%s: %s: %s", p.n.name, e.Peer, e.Text)
	case protocol.EffectSealed:
		p.sealed(e)
	case protocol.EffectReopen:
		p.reopened(e.Text)
	}
	return true
}

// endRole ends the work of a role, when nothing of it is on its way to the disk.
func (p *process) endRole() bool {
	p.role++
	p.lead, p.queue, p.sealing = nil, nil, sealing{}
	if p.in != nil {
		p.in.broken()
		p.in = nil
	}
	for _, s := range p.streams() {
		s.broken()
	}
	p.peers = map[protocol.ConnID]*stream{}
	return !p.busy
}

// append writes records to the journal as a primary. They are on their way to the
// standbys before the disk has answered.
func (p *process) append(n int, start protocol.ReplicaBoot) {
	for range n {
		p.appendOne(start, 0, false)
	}
	p.judgeRequests()
	p.sync(nil)
}

// appendOne appends a record that answers a request; 0: one without an id.
func (p *process) appendOne(start protocol.ReplicaBoot, request int, refused bool) entry {
	p.w.writes++
	e := entry{
		at: protocol.Position{Epoch: p.lead.epoch, Seq: p.dir.last().Seq + 1}, id: p.w.writes,
		commit: p.core.Commit(), by: start, request: request, refused: refused,
	}
	p.w.check.appended(p.w, p, e)
	p.dir.records = append(p.dir.records, e)
	p.core.Appended(e.at, p.w.now)
	p.lead.wait = append(p.lead.wait, e)
	return e
}

// sync makes the journal durable; the records written meanwhile wait.
func (p *process) sync(done func()) {
	p.busy = true
	p.later(p.w.diskDelay(), func() {
		p.busy = false
		p.dir.durable = len(p.dir.records)
		p.core.Synced(protocol.Seq(p.dir.durable), p.w.now)
		if done != nil {
			done()
		}
		p.next()
	})
}

func (w *world) diskDelay() time.Duration {
	if w.faults.slowDisk && w.chance(60) {
		return w.upTo(700 * time.Millisecond)
	}
	return 50*time.Microsecond + w.upTo(2*time.Millisecond)
}

// next takes what has waited for the disk.
func (p *process) next() {
	switch {
	case p.busy:
	case p.lead != nil && p.lead.queue+len(p.lead.requests) > 0 && !p.core.Sealed():
		n := p.lead.queue
		p.lead.queue = 0
		p.append(n, protocol.ReplicaBoot{})
	case len(p.queue) > 0:
		p.takeBatch()
	}
}

// client asks for a few writes, if the node serves.
func (p *process) client() {
	if p.lead == nil || !p.core.Serving() || p.w.rng.IntN(3) == 0 {
		return
	}
	p.lead.queue += 1 + p.w.rng.IntN(3)
	p.next()
}

func (p *process) tick() {
	p.core.Tick(p.w.now)
	p.w.check.sealedFor(p.w, p)
	if p.lead != nil && p.core.ConfirmDue(p.w.now) {
		p.core.NextConfirm(p.w.now)
	}
}

// die ends the process. What its disk had not answered may be there or not.
func (p *process) die() {
	p.dead = true
	d := p.dir
	keep := d.durable + p.w.rng.IntN(len(d.records)-d.durable+1)
	p.w.tell("%s dies with %s, %d of %d unsynced records survive", p.n.name, d.last(), keep-d.durable, len(d.records)-d.durable)
	d.records = d.records[:keep:keep]
	if p.in != nil {
		p.in.broken()
	}
	for _, s := range p.streams() {
		s.broken()
	}
}

// streams returns a primary's streams in a fixed order.
func (p *process) streams() []*stream {
	var out []*stream
	for id := protocol.ConnID(1); id <= p.connID; id++ {
		if s := p.peers[id]; s != nil {
			out = append(out, s)
		}
	}
	return out
}

// record takes a group record, from whomever.
func (p *process) record(rec protocol.GroupRecord) {
	if p.core.Record(rec, p.w.now) {
		p.w.tell("%s takes v%d: epoch %d of %s, in sync %v", p.n.name, rec.Version, rec.Epoch, rec.Primary, rec.InSync)
	}
}
