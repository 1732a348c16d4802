package protocol

import (
	"maps"
	"slices"
	"sort"
	"time"
)

// decide is the primary's judgement of its standbys: who enters the view, who
// is asked to be added, who is asked to be removed. After a sleep the first event may
// come before the first tick.
func (r *Replica) decide(now time.Time) {
	g := r.reign
	if !r.lastTick.IsZero() && now.Sub(r.lastTick) > r.cfg.SleptAfter {
		g.awake = now
	}
	want := []UUID{r.me.UUID}
	for _, u := range slices.Sorted(maps.Keys(g.peers)) {
		p := g.peers[u]
		switch {
		case r.record.IsInSync(u):
			if r.whyRemove(p, now) == "" {
				want = append(want, u)
			}
		case p.entering || r.mayEnter(p, now):
			if r.enters(p, now) {
				want = append(want, u)
			}
		case r.pendingAdd(u) && p.conn != 0 && p.trouble == "":
			want = append(want, u)
		}
	}
	for _, u := range r.record.InSync {
		if g.peers[u] == nil && u != r.me.UUID {
			g.peer(u).inSince = now // named by a record before it was heard of
			want = append(want, u)
		}
	}
	r.ask(want, now)
}

func (r *Replica) pendingAdd(u UUID) bool {
	return r.reign.asked.version == r.record.Version && slices.Contains(r.reign.asked.added, u)
}

// whyRemove returns why a standby of the in-sync set should leave it, or "".
func (r *Replica) whyRemove(p *peer, now time.Time) string {
	switch {
	case !r.record.IsMember(p.uuid):
		return "it is no member any more"
	case r.record.IsHeldOut(p.uuid):
		return "it is held out for maintenance"
	case r.record.IsLeaving(p.uuid):
		return "it is leaving"
	case r.record.IsDown(p.uuid) && !p.ever:
		return "the monitor holds it for down"
	case p.trouble != "":
		return p.trouble
	case p.conn == 0 && p.ever && now.Sub(later(p.lost, r.reign.awake)) >= r.cfg.ReturnGrace:
		return "its connection closed and did not return"
	case r.awaited(p, now) >= r.cfg.AckTimeout:
		return "its answer is overdue"
	case p.slow.sum(now, r.cfg.SlowWindow) > r.cfg.SlowBudget:
		return "it was waited for too long"
	}
	return ""
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// mayEnter tells whether a standby outside the set is near enough to enter the
// view, and enters it. None enters a sealed primary's: its record would end the
// seal. Nor does one that owes an answer for longer than a member may: one that
// stands still holds its connection open, and would be waited for once more.
func (r *Replica) mayEnter(p *peer, now time.Time) bool {
	if !r.reign.serving || p.conn == 0 || p.trouble != "" || p.durable == 0 || p.behind > r.cfg.EnterBytes ||
		r.Sealed() || !r.record.MayAdd(p.uuid) || r.pendingAdd(p.uuid) || now.Before(p.outUntil) ||
		!p.confirmSince.IsZero() && now.Sub(later(p.confirmSince, r.reign.awake)) >= r.cfg.AckTimeout {
		return false
	}
	p.entering, p.enteredAt = true, now
	return true
}

// enters tells whether the addition of an entering standby may be asked for: it
// holds everything that was committed, and the start of this epoch. One that
// takes too long leaves the view again, so that the commit seq can move.
func (r *Replica) enters(p *peer, now time.Time) bool {
	if p.durable >= r.commit && p.durable >= r.reign.start {
		return true
	}
	if now.Sub(p.enteredAt) >= r.cfg.EnterWithin {
		p.entering = false
		r.backOff(p, now)
		r.advance(now)
	}
	return false
}

// ask proposes the wanted set on the version held, if it differs from what the
// registry has or may yet come to have. Whoever it adds is in the view before
// the request leaves, and stays until a record with a higher version comes: a
// request is given up only by committing another on the same version.
func (r *Replica) ask(want []UUID, now time.Time) {
	g := r.reign
	outstanding := g.asked.version == r.record.Version
	switch {
	case !outstanding && sameSet(want, r.record.InSync):
		return
	case outstanding && sameSet(want, g.asked.set) && now.Sub(g.asked.at) < r.cfg.AskAgain:
		return
	}
	if !outstanding {
		g.asked = asked{version: r.record.Version}
	}
	for _, u := range want {
		if !r.record.IsInSync(u) && !slices.Contains(g.asked.added, u) {
			g.asked.added = append(g.asked.added, u)
		}
		if p := g.peers[u]; p != nil {
			p.entering = false // asked for from now on; no time limit any more
		}
	}
	g.asked.set, g.asked.at = slices.Clone(want), now
	r.emit(Effect{Kind: EffectPropose, Change: ChangeInSync{
		Group: r.group, Version: r.record.Version, Epoch: g.epoch, Primary: r.me,
		InSync: slices.Clone(want), Reason: r.reason(want, now),
	}})
}

// reason says in a sentence what a proposal is for.
func (r *Replica) reason(want []UUID, now time.Time) string {
	for _, u := range r.record.InSync {
		if !slices.Contains(want, u) {
			return r.whyRemove(r.reign.peer(u), now)
		}
	}
	if len(want) > len(r.record.InSync) {
		return "it has caught up"
	}
	return "an earlier request is given up"
}

func sameSet(a, b []UUID) bool {
	if len(a) != len(b) {
		return false
	}
	for _, u := range a {
		if !slices.Contains(b, u) {
			return false
		}
	}
	return true
}

// appendTimes remembers when the records that are not acknowledged everywhere
// were appended: one entry a batch, ordered by seq.
type appendTimes struct {
	entries []appendTime
}

type appendTime struct {
	seq Seq
	at  time.Time
}

// maxAppendTimes bounds the memory; beyond it the newest entries are merged,
// which makes a record look older by at most the merged span.
const maxAppendTimes = 8192

func (a *appendTimes) add(seq Seq, at time.Time) {
	if n := len(a.entries); n >= maxAppendTimes {
		a.entries[n-1].seq = seq
		return
	}
	a.entries = append(a.entries, appendTime{seq, at})
}

// oldestAfter returns when the first record above seq was appended.
func (a *appendTimes) oldestAfter(seq Seq) (time.Time, bool) {
	i := sort.Search(len(a.entries), func(i int) bool { return a.entries[i].seq > seq })
	if i == len(a.entries) {
		return time.Time{}, false
	}
	return a.entries[i].at, true
}

func (a *appendTimes) forget(upTo Seq) {
	i := sort.Search(len(a.entries), func(i int) bool { return a.entries[i].seq > upTo })
	if i > 0 {
		a.entries = a.entries[:copy(a.entries, a.entries[i:])]
	}
}

// slowness adds up the time that was spent waiting for a standby, in buckets
// of a tenth of the window.
type slowness struct {
	buckets [10]time.Duration
	newest  int64     // number of the newest bucket since origin
	origin  time.Time // of the first use: a wall clock that jumps moves nothing
	counted time.Time // up to when
}

func (s *slowness) roll(now time.Time, window time.Duration) {
	if s.origin.IsZero() {
		s.origin = now
	}
	n := int64(now.Sub(s.origin) / (window / 10))
	for ; s.newest < n; s.newest++ {
		if n-s.newest > int64(len(s.buckets)) {
			s.buckets = [10]time.Duration{}
			s.newest = n - 1
		}
		s.buckets[(s.newest+1)%10] = 0
	}
}

func (s *slowness) add(now time.Time, d, window time.Duration) {
	s.roll(now, window)
	s.buckets[s.newest%10] += d
}

func (s *slowness) sum(now time.Time, window time.Duration) time.Duration {
	s.roll(now, window)
	var total time.Duration
	for _, b := range s.buckets {
		total += b
	}
	return total
}
