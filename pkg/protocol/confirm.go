package protocol

import "time"

// rounds is a primary's confirm rounds: one in flight at a time.
type rounds struct {
	flying uint64 // number of the round in flight, 0: none is
	wanted bool   // somebody waits for the next one
}

// Join returns the number of a confirm round that is sent after this call, so
// that what arrived before it may be answered once Confirms has reached it. A
// round in flight was sent before: what arrives meanwhile shares the next.
func (r *Replica) Join(now time.Time) uint64 {
	g := r.reign
	if g.rounds.flying == 0 {
		g.rounds.flying = r.NextConfirm(now)
		return g.rounds.flying
	}
	g.rounds.wanted = true
	return g.confirm + 1
}

// Land ends the round in flight if the whole view has answered it, begins the
// next if somebody waits for it, and returns what Confirms returns.
func (r *Replica) Land(now time.Time) uint64 {
	g := r.reign
	if g == nil {
		return 0
	}
	done := r.Confirms()
	if g.rounds.flying != 0 && done >= g.rounds.flying {
		g.rounds.flying = 0
		if g.rounds.wanted {
			g.rounds = rounds{flying: r.NextConfirm(now)}
			if len(r.View()) == 1 {
				return r.Land(now)
			}
		}
	}
	return done
}

// Confirms returns the number of the newest confirm that every standby in the
// view has answered in this epoch; with nobody else in the view, the newest
// number. A read that arrived before that confirm was sent may be answered: all
// who could have been promoted meanwhile still follow this epoch.
func (r *Replica) Confirms() uint64 {
	g := r.reign
	if g == nil {
		return 0
	}
	low := g.confirm
	for u, p := range g.peers {
		if r.InView(u) {
			low = min(low, p.confirmed)
		}
	}
	for _, u := range r.record.InSync {
		if u != r.me.UUID && g.peers[u] == nil {
			return 0 // in the set, and not a word from it in this epoch
		}
	}
	return low
}

// Alone tells whether this is a serving primary with nobody else in its view.
// Then nobody else may be promoted, and a read needs no confirm.
func (r *Replica) Alone() bool { return r.Serving() && r.Copies() == 1 }
