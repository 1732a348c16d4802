package protocol

import (
	"maps"
	"slices"
	"time"
)

// reign is the work of a primary in one epoch.
type reign struct {
	epoch   Epoch
	start   Seq // of the epoch-start
	serving bool
	peers   map[UUID]*peer
	asked   asked
	appends appendTimes
	// awake is when the process last woke: nothing was awaited before it.
	awake time.Time
	// confirm is the number of the newest confirm sent, over the whole epoch.
	confirm   uint64
	confirmAt time.Time
	rounds    rounds
	seal      seal
}

// asked is the one outstanding ChangeInSync. Its outcome is learnt only from
// records; until one with a higher version comes, everyone that was asked to
// be added on this version may be in the set.
type asked struct {
	version Version // 0: nothing is outstanding
	set     []UUID
	added   []UUID
	at      time.Time
}

// peer is a standby as its primary sees it.
type peer struct {
	uuid UUID
	// conn is the connection that shook hands in this epoch, 0 for none, and
	// durable what was acknowledged on it.
	conn    ConnID
	durable Seq
	behind  int64 // bytes of journal not acknowledged
	ever    bool  // shook hands in this epoch
	lost    time.Time
	trouble string // what it says is wrong with it: it cannot hold records

	entering  bool // in the view, its addition not asked for yet
	enteredAt time.Time

	confirmed    uint64
	confirmAwait uint64    // the unanswered confirm that confirmSince is of
	confirmSince time.Time // when it was sent; zero: nothing is unanswered

	slow     slowness
	outUntil time.Time
	outFor   time.Duration
	inSince  time.Time
}

func (r *Replica) beginReign(now time.Time) {
	r.phase = phaseReigning
	r.deposed = false
	r.reign = &reign{
		epoch: r.record.Epoch, start: r.last.Seq + 1,
		peers: map[UUID]*peer{}, awake: now,
	}
	for _, u := range r.record.InSync {
		if u != r.me.UUID {
			r.reign.peer(u).inSince = now
		}
	}
	r.emit(Effect{Kind: EffectBeginReign, Epoch: r.reign.epoch})
	r.decide(now)
}

func (g *reign) peer(u UUID) *peer {
	p := g.peers[u]
	if p == nil {
		p = &peer{uuid: u}
		g.peers[u] = p
	}
	return p
}

func (g *reign) byConn(c ConnID) *peer {
	for _, p := range g.peers {
		if p.conn == c && c != 0 {
			return p
		}
	}
	return nil
}

// InView tells whether a replica counts for the commit seq: it is in the newest
// record's set, or it is being added.
func (r *Replica) InView(u UUID) bool {
	if r.record.IsInSync(u) {
		return true
	}
	if p := r.reign.peers[u]; p != nil && p.entering {
		return true
	}
	return r.reign.asked.version == r.record.Version && slices.Contains(r.reign.asked.added, u)
}

// View returns the replicas that must hold a record before it is acknowledged.
// It is nil where this is not the primary.
func (r *Replica) View() []UUID {
	if r.reign == nil {
		return nil
	}
	view := slices.Clone(r.record.InSync)
	for _, u := range slices.Sorted(maps.Keys(r.reign.peers)) {
		if r.InView(u) && !slices.Contains(view, u) {
			view = append(view, u)
		}
	}
	return view
}

// Copies returns how many replicas hold every committed record, 0 where this is
// not the primary.
func (r *Replica) Copies() int {
	if r.reign == nil {
		return 0
	}
	n := len(r.record.InSync)
	for u := range r.reign.peers {
		if !r.record.IsInSync(u) && r.InView(u) {
			n++
		}
	}
	return n
}

// reignRecord takes a newer record of the same reign.
func (r *Replica) reignRecord(before GroupRecord, now time.Time) {
	g := r.reign
	if g.asked.version < r.record.Version {
		g.asked = asked{}
	}
	for _, u := range r.record.InSync {
		if u == r.me.UUID {
			continue
		}
		p := g.peer(u)
		p.entering = false
		if !before.IsInSync(u) {
			p.inSince = now
			r.log(u, "standby is in sync")
		}
	}
	for _, u := range before.InSync {
		if !r.record.IsInSync(u) {
			r.keepOut(g.peer(u), now)
		}
	}
	for u, p := range g.peers {
		p.entering = p.entering && r.record.MayAdd(u)
	}
	r.reopen("the group's record has changed")
	r.advance(now)
	r.decide(now)
}

// keepOut starts the back-off of a standby that has been removed.
func (r *Replica) keepOut(p *peer, now time.Time) {
	if !p.inSince.IsZero() && now.Sub(p.inSince) >= r.cfg.QuietAfter {
		p.outFor = 0
	}
	p.inSince = time.Time{}
	p.slow = slowness{}
	r.backOff(p, now)
	r.log(p.uuid, "standby is out of the in-sync set")
}

// backOff keeps a standby out for a while, longer each time.
func (r *Replica) backOff(p *peer, now time.Time) {
	p.outFor = min(max(2*p.outFor, r.cfg.OutMin), r.cfg.OutMax)
	p.outUntil = now.Add(p.outFor)
}

func (r *Replica) log(u UUID, text string) {
	r.emit(Effect{Kind: EffectLog, Peer: u, Text: text})
}

func (r *Replica) reignAppended(now time.Time) {
	assert(r.last.Epoch == r.reign.epoch, "appended %s in the reign of epoch %d", r.last, r.reign.epoch)
	r.reign.appends.add(r.last.Seq, now)
}

// advance raises the commit seq to the lowest durable seq over the view.
func (r *Replica) advance(now time.Time) {
	low := r.durable
	for u, p := range r.reign.peers {
		if r.InView(u) {
			low = min(low, p.durable)
		}
	}
	for _, u := range r.record.InSync {
		if u != r.me.UUID && r.reign.peers[u] == nil {
			return // in the set, and not a word from it in this epoch
		}
	}
	r.commit = max(r.commit, low)
	if !r.reign.serving && r.commit >= r.reign.start {
		r.reign.serving = true
		r.emit(Effect{Kind: EffectServe, Epoch: r.reign.epoch})
		r.decide(now)
	}
	r.checkSealed()
}

// reignTick notices what did not happen.
func (r *Replica) reignTick(now time.Time) {
	g := r.reign
	low := r.durable
	for u, p := range g.peers {
		r.countSlow(p, now)
		if r.InView(u) {
			low = min(low, p.durable)
		}
	}
	g.appends.forget(low)
	r.sealTick(now)
	r.decide(now)
}

// countSlow adds what p has been waited for beyond SlowAfter since this was last
// looked at: with every tick, and before an answer ends the wait. Time that the
// process may have slept through counts for nothing.
func (r *Replica) countSlow(p *peer, now time.Time) {
	s := &p.slow
	if awaited := r.awaited(p, now); awaited > r.cfg.SlowAfter && r.InView(p.uuid) && now.Sub(r.lastTick) <= r.cfg.SleptAfter {
		if since := later(s.counted, now.Add(r.cfg.SlowAfter-awaited)); now.After(since) {
			s.add(now, now.Sub(since), r.cfg.SlowWindow)
		}
	}
	s.counted = later(s.counted, now)
}

// awaited returns for how long an acknowledgement or a confirm of p has been
// awaited.
func (r *Replica) awaited(p *peer, now time.Time) time.Duration {
	since := now
	if at, ok := r.reign.appends.oldestAfter(p.durable); ok {
		since = at
	}
	if !p.confirmSince.IsZero() && p.confirmSince.Before(since) {
		since = p.confirmSince
	}
	if r.reign.awake.After(since) {
		since = r.reign.awake
	}
	return now.Sub(since)
}

// Hello answers a standby's handshake at the primary. On a welcome the
// connection takes the place of any earlier one of the same replica.
func (r *Replica) Hello(conn ConnID, h Hello, now time.Time) HelloAnswer {
	switch {
	case r.reign == nil || h.Epoch > r.accepted:
		return HelloAnswer{Refused: RefuseNotPrimary}
	case h.Epoch < r.reign.epoch:
		return HelloAnswer{Refused: RefuseStaleVersion}
	case h.UUID == r.me.UUID:
		return HelloAnswer{Refused: RefuseDuplicateNode}
	case !r.record.IsMember(h.UUID) && !r.record.IsInSync(h.UUID):
		return HelloAnswer{Refused: RefuseNotPrimary}
	}
	p := r.reign.peer(h.UUID)
	if p.conn != 0 {
		r.peerLost(p, now)
	}
	part := Part(r.boundaries, r.last.Seq, h.Boundaries, h.Last)
	p.conn, p.durable, p.ever, p.trouble = conn, 0, true, ""
	p.behind = r.cfg.EnterBytes + 1
	p.confirmed, p.confirmAwait, p.confirmSince = 0, 0, time.Time{}
	if r.reign.confirm > 0 { // the round in flight is sent again on this connection
		p.confirmAwait, p.confirmSince = r.reign.confirm, now
	}
	r.advance(now) // it may have left the view with its old connection
	return HelloAnswer{Epoch: r.reign.epoch, Part: part}
}

// Acked tells what a standby has made durable, on the connection of its last
// handshake in this epoch; anything else is ignored. behind is how many bytes
// of journal it has not acknowledged.
func (r *Replica) Acked(conn ConnID, epoch Epoch, seq Seq, behind int64, now time.Time) {
	if r.reign == nil || epoch != r.reign.epoch {
		return
	}
	p := r.reign.byConn(conn)
	if p == nil {
		return
	}
	assert(seq <= r.last.Seq, "standby %s acknowledged %d beyond the end %s", p.uuid, seq, r.last)
	r.countSlow(p, now)
	p.durable, p.behind = max(p.durable, seq), behind
	r.advance(now)
	if !r.record.IsInSync(p.uuid) {
		r.decide(now)
	}
}

// ConfirmNumber returns the number of the newest confirm, 0 before the first.
// It is 0 in every other role.
func (r *Replica) ConfirmNumber() uint64 {
	if r.reign == nil {
		return 0
	}
	return r.reign.confirm
}

// ConfirmDue tells whether it is time for a confirm of its own accord: the last
// round has been answered by the whole view, and was a while ago.
func (r *Replica) ConfirmDue(now time.Time) bool {
	if r.reign == nil || now.Sub(r.reign.confirmAt) < r.cfg.ConfirmEvery {
		return false
	}
	for u, p := range r.reign.peers {
		// A standby that is deaf must not keep the others from being heard.
		if r.InView(u) && p.conn != 0 && !p.confirmSince.IsZero() && now.Sub(r.reign.confirmAt) < 5*r.cfg.ConfirmEvery {
			return false
		}
	}
	return true
}

// NextConfirm begins a confirm round and returns its number. Rounds are
// numbered over the whole epoch.
func (r *Replica) NextConfirm(now time.Time) uint64 {
	g := r.reign
	g.confirm++
	g.confirmAt = now
	for _, p := range g.peers {
		if p.conn != 0 && p.confirmSince.IsZero() {
			p.confirmAwait, p.confirmSince = g.confirm, now
		}
	}
	return g.confirm
}

// Confirmed tells that a standby has answered a confirm in the given epoch.
func (r *Replica) Confirmed(conn ConnID, epoch Epoch, number uint64, now time.Time) {
	if r.reign == nil || epoch != r.reign.epoch {
		return
	}
	if p := r.reign.byConn(conn); p != nil {
		r.countSlow(p, now)
		p.confirmed = max(p.confirmed, number)
		switch {
		case p.confirmed >= r.reign.confirm:
			p.confirmSince = time.Time{}
		case p.confirmed >= p.confirmAwait:
			p.confirmAwait, p.confirmSince = r.reign.confirm, r.reign.confirmAt
		}
	}
}

// Trouble tells that a standby says that it cannot hold records, and why.
func (r *Replica) Trouble(conn ConnID, epoch Epoch, text string, now time.Time) {
	if r.reign == nil || epoch != r.reign.epoch {
		return
	}
	if p := r.reign.byConn(conn); p != nil {
		p.trouble, p.entering = text, false
		r.advance(now)
		r.decide(now)
	}
}

// PeerGone tells that a standby's connection has closed.
func (r *Replica) PeerGone(conn ConnID, now time.Time) {
	if r.reign == nil {
		return
	}
	if p := r.reign.byConn(conn); p != nil {
		r.peerLost(p, now)
		r.advance(now)
		r.decide(now)
	}
}

// peerLost forgets a connection. What was acknowledged on it counts until the
// next handshake: the records are on that disk. A standby that was entering
// leaves the view, for nothing has been asked yet.
func (r *Replica) peerLost(p *peer, now time.Time) {
	r.emit(Effect{Kind: EffectDropPeer, Conn: p.conn, Peer: p.uuid})
	p.conn, p.lost = 0, now
	p.entering = false
	p.confirmSince = time.Time{}
}

// PeerView is a standby as the primary sees it, for people.
type PeerView struct {
	UUID      UUID
	Connected bool
	InView    bool
	Durable   Seq
	Behind    time.Duration // age of the oldest record not acknowledged
}

// Peers returns what the primary knows of each standby, nil in other roles.
func (r *Replica) Peers(now time.Time) []PeerView {
	if r.reign == nil {
		return nil
	}
	out := make([]PeerView, 0, len(r.reign.peers))
	for _, u := range slices.Sorted(maps.Keys(r.reign.peers)) {
		p := r.reign.peers[u]
		if !r.record.IsMember(u) && !r.InView(u) {
			continue
		}
		v := PeerView{UUID: u, Connected: p.conn != 0, InView: r.InView(u), Durable: p.durable}
		if at, ok := r.reign.appends.oldestAfter(p.durable); ok {
			v.Behind = now.Sub(at)
		}
		out = append(out, v)
	}
	return out
}
