// Package turn decides whose turn it is to answer a read: every replica's, one
// after the other; that of a slow one less often; that of one that fails only now
// and then, to see whether it has recovered.
//
// It is pure: times are arguments, and whoever asks carries the decision out.
package turn

import (
	"math"
	"time"
)

// The rules. Latencies are those that the asker sees.
const (
	// Replicas are equal whose latency is within equalFactor times the best one's
	// and equalSlack: a standby's read takes a round trip more than the primary's,
	// and on a busy machine a millisecond says nothing.
	equalFactor = 3
	equalSlack  = float64(2 * time.Millisecond)
	// floor is the least weight of a replica that answers, so that one that has
	// become quick again is noticed.
	floor = 0.05
	// A latency is an average in which the newest answer counts smoothing, and
	// at most clip times the average or clipLeast, whichever is more: one late
	// answer is no slow replica.
	smoothing = 1.0 / 16
	clip      = 8
	clipLeast = float64(time.Millisecond)

	// A replica that failed rests, first for restFirst, then each time for twice
	// as long, restMost at most. Then one read tries it.
	restFirst = 100 * time.Millisecond
	restMost  = 1600 * time.Millisecond

	// An answer is late after patienceFactor times what nearly all answers take,
	// and not before patienceLeast; everything is after patienceMost.
	patienceFactor = 3
	patienceLeast  = 50 * time.Millisecond
	patienceMost   = time.Second
	// What nearly all answers take rises by rise of the difference with an answer
	// that took longer, and falls by fall of it with one that did not.
	rise = 1.0 / 4
	fall = 1.0 / 512
	// An answer that took longer than usualMost tells no more than one that took that
	// long, and half of what is usual is forgotten every fadeEvery: where reads are
	// few, those that waited for a primary that stood still must not be what is usual
	// for the next thousand.
	usualMost = float64(patienceMost) / 2
	fadeEvery = 5 * time.Second
)

// Turn is the order of a number of replicas, each a place from 0. The zero value
// has none. Its methods must not be called at the same time.
type Turn struct {
	places     []place
	generation uint64  // of the places
	usual      float64 // what nearly all answers take, in ns
	faded      time.Time
}

// place is what is known of a replica.
type place struct {
	latency float64       // smoothed, in ns; 0: not known
	credit  float64       // who has the most is next
	rest    time.Duration // 0: it does not rest
	until   time.Time     // the end of the rest
	trying  bool          // a read is trying it
}

// Pick is one read's replica. The outcome is told with it.
type Pick struct {
	Place      int
	generation uint64
	trial      bool
}

// Set begins anew, with so many replicas.
func (t *Turn) Set(places int) {
	t.places = make([]place, places)
	t.generation++
}

// Places returns how many replicas there are.
func (t *Turn) Places() int { return len(t.places) }

// Next returns whose turn it is; false if nobody's.
//
// It is smooth weighted round robin, as in nginx: each earns its weight with every
// read, who has the most answers it and pays the sum. So among equals each has
// every n-th read, and a light one's reads are spread over the others'.
func (t *Turn) Next(now time.Time) (Pick, bool) {
	t.fade(now)
	if i := t.rested(now); i >= 0 {
		t.places[i].trying = true
		return Pick{i, t.generation, true}, true
	}
	best := t.best()
	chosen, total := -1, 0.0
	for i := range t.places {
		p := &t.places[i]
		if p.rest > 0 {
			continue
		}
		weight := p.weight(best)
		p.credit += weight
		total += weight
		if chosen < 0 || p.credit > t.places[chosen].credit {
			chosen = i
		}
	}
	if chosen < 0 {
		return Pick{}, false
	}
	t.places[chosen].credit -= total
	return Pick{chosen, t.generation, false}, true
}

// fade forgets with time what is usual.
func (t *Turn) fade(now time.Time) {
	if n := now.Sub(t.faded) / fadeEvery; n > 0 {
		t.usual, t.faded = math.Ldexp(t.usual, -int(min(n, 100))), now
	}
}

// rested returns a replica that is to be tried; -1: there is none.
func (t *Turn) rested(now time.Time) int {
	for i := range t.places {
		if p := &t.places[i]; p.rest > 0 && !p.trying && !now.Before(p.until) {
			return i
		}
	}
	return -1
}

// best returns the lowest latency known; 0: none is.
func (t *Turn) best() float64 {
	best := 0.0
	for i := range t.places {
		if p := &t.places[i]; p.rest == 0 && p.latency > 0 && (best == 0 || p.latency < best) {
			best = p.latency
		}
	}
	return best
}

func (p *place) weight(best float64) float64 {
	equal := equalFactor*best + equalSlack
	if p.latency <= equal {
		return 1
	}
	return max(floor, equal/p.latency)
}

// Weight returns how often it is a replica's turn, as a part of how often it is the
// best one's; 0: it rests.
func (t *Turn) Weight(place int) float64 {
	if t.places[place].rest > 0 {
		return 0
	}
	return t.places[place].weight(t.best())
}

// of returns the place of a pick; nil: there are others now, or it was nobody's
// turn.
func (t *Turn) of(k Pick) *place {
	if k.generation != t.generation || k.Place >= len(t.places) {
		return nil
	}
	p := &t.places[k.Place]
	if k.trial {
		p.trying = false
	}
	return p
}

// Answered says that the replica answered, and after how long.
func (t *Turn) Answered(k Pick, took time.Duration) {
	p, x := t.of(k), float64(max(took, 1))
	switch {
	case p == nil:
		return
	case p.rest > 0 && !k.trial:
		return // of before the rest
	case p.latency == 0 || p.rest > 0:
		*p = place{latency: x}
	default:
		p.latency += (min(x, max(clip*p.latency, clipLeast)) - p.latency) * smoothing
	}
	if x = min(x, usualMost); x > t.usual {
		t.usual += (x - t.usual) * rise
	} else {
		t.usual += (x - t.usual) * fall
	}
}

// Failed says that the replica did not answer, or late.
func (t *Turn) Failed(k Pick, now time.Time) {
	p := t.of(k)
	if p == nil || p.rest > 0 && !k.trial {
		return // it rests because of another read that failed with this one
	}
	p.rest = min(max(2*p.rest, restFirst), restMost)
	p.until = now.Add(p.rest)
}

// Dropped says that the outcome tells nothing of the replica.
func (t *Turn) Dropped(k Pick) { t.of(k) }

// Patience returns after how long an answer is late.
func (t *Turn) Patience() time.Duration {
	return min(max(time.Duration(patienceFactor*t.usual), patienceLeast), patienceMost)
}
