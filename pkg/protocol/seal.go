package protocol

import "time"

// seal is a primary's pause for a switchover: nothing new is judged or answered
// until the successor takes over. Reopening is safe at any time in the same boot: a
// promoted standby answers nothing of this epoch any more.
type seal struct {
	to    UUID // the successor, empty: not sealed
	since time.Time
	told  bool // that everything is committed
}

// Sealed tells whether a serving primary has been sealed. The shell judges no new
// write and answers no new read then: they wait for a record, for EffectReopen, or
// for the end of the role.
func (r *Replica) Sealed() bool { return r.reign != nil && r.reign.seal.to != "" }

// Seal asks the primary of an epoch to let a standby take over. What was judged
// before goes on; once all of it is committed, EffectSealed says so. The shell
// calls it when no write is between its judgement and Appended. Asked again for the
// same standby it answers again, and waits no longer.
func (r *Replica) Seal(epoch Epoch, to UUID, now time.Time) *Refusal {
	if no := r.maySeal(epoch, to); no != nil {
		return no
	}
	s := &r.reign.seal
	if s.to == "" {
		s.to, s.since = to, now
		r.log(to, "sealed for a switchover")
	}
	s.told = false
	r.checkSealed()
	return nil
}

// maySeal says why a seal is refused, or nothing.
func (r *Replica) maySeal(epoch Epoch, to UUID) *Refusal {
	if !r.Serving() || epoch != r.reign.epoch {
		return refuse(RefuseNotPrimary, "this node does not serve as the primary of epoch %d: it cannot hand that over", epoch)
	}
	p, sealed := r.reign.peers[to], r.reign.seal.to
	switch {
	case to == r.me.UUID:
		return refuse(RefuseBadRequest, "the primary cannot hand over to itself")
	case sealed != "" && sealed != to:
		return refuse(RefuseStaleVersion, "the primary is handing over to another replica: wait until that is done")
	case !r.record.IsInSync(to):
		return refuse(RefuseWouldLoseData, "%s is not in the in-sync set: acknowledged writes may be missing from it", to)
	case r.record.IsLeaving(to) || r.record.IsHeldOut(to):
		return refuse(RefuseStaleVersion, "%s is leaving the in-sync set", to)
	case p == nil || p.conn == 0:
		return refuse(RefuseStaleVersion, "%s is not connected to the primary", to)
	case p.trouble != "":
		return refuse(RefuseStaleVersion, "%s cannot hold records (%s)", to, p.trouble)
	}
	return nil
}

// checkSealed tells once that a sealed primary has committed everything.
func (r *Replica) checkSealed() {
	s := &r.reign.seal
	if s.to != "" && !s.told && r.last.Seq == r.commit {
		s.told = true
		r.emit(Effect{Kind: EffectSealed, Epoch: r.reign.epoch, Peer: s.to, Position: r.last})
	}
}

// sealTick ends a seal that nobody has used in time.
func (r *Replica) sealTick(now time.Time) {
	if r.Sealed() && now.Sub(r.reign.seal.since) >= r.cfg.SealFor {
		r.reopen("nobody took over within " + r.cfg.SealFor.String())
	}
}

// reopen ends a seal within its epoch.
func (r *Replica) reopen(why string) {
	if !r.Sealed() {
		return
	}
	to := r.reign.seal.to
	r.reign.seal = seal{}
	r.log(to, "reopened: "+why)
	r.emit(Effect{Kind: EffectReopen, Epoch: r.reign.epoch, Peer: to, Text: why})
}

// MayExit tells whether a node that is stopping has nothing left to hand over: it
// is not in the in-sync set, or nobody else is, or it never joined.
func (r *Replica) MayExit() bool {
	return !r.record.IsInSync(r.me.UUID) || len(r.record.InSync) == 1
}
