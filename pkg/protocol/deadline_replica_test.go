package protocol

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tickSlack is how much later than one that ticks each millisecond a primary does
// what time alone brings about.
const tickSlack = 130 * ms

// reigning is a primary among standbys that answer as a script has it. Two that play
// the same script differ only in how often they tick.
type reigning struct {
	*scene
	rng   *rand.Rand // of the script, which nothing that the primary does takes part in
	often bool
	peers map[UUID]*answering
	conns ConnID
	later []happening
	ticks int
	armed time.Time // when the next tick is due, as the shell knows it
	// asleep is until when nothing of the process happens, sealed until when nobody
	// writes.
	asleep, sealed time.Time
	story          []act
}

// answering is a standby.
type answering struct {
	conn   ConnID // 0: away
	lag    time.Duration
	silent time.Time // until then it says nothing, and then all at once
}

// act is something that a primary did.
type act struct {
	at   time.Time
	what string
}

func reigningAs(t *testing.T, seed uint64, often bool) *reigning {
	t.Helper()
	p := &reigning{scene: replicaOf(t, of("A", 1), Saved{}), rng: rand.New(rand.NewPCG(seed, 1)), often: often, peers: map[UUID]*answering{"B": {}, "C": {}}}
	p.held = true
	p.r.Record(rec(1, 1, of("A", 1), "A"), p.now)
	p.carriesOut()
	p.writes(1)
	p.carriesOut()
	for _, u := range []UUID{"B", "C"} {
		p.dials(u)
	}
	every := []time.Duration{7 * ms, 40 * ms, 333 * ms, time.Hour}[p.rng.IntN(4)]
	p.in(every, func() { p.appendsEvery(every) })
	return p
}

func (p *reigning) in(d time.Duration, do func()) {
	p.later = append(p.later, happening{p.now.Add(d), do})
	slices.SortStableFunc(p.later, func(a, b happening) int { return a.at.Compare(b.at) })
}

// runs lets time pass.
func (p *reigning) runs(long time.Duration) {
	for end := p.now.Add(long); p.now.Before(end); {
		tick := p.now.Truncate(ms).Add(ms)
		for len(p.later) > 0 && p.later[0].at.Before(tick) {
			h := p.later[0]
			p.later = p.later[1:]
			if h.at.After(p.now) {
				p.now = h.at
			}
			if p.now.Before(p.asleep) {
				p.in(p.asleep.Sub(p.now)+ms/2, h.do)
				continue
			}
			h.do()
			if p.r.Pending() { // as the shell, which is woken for nothing else
				p.carriesOut()
				p.armed = p.r.NextTick()
			}
		}
		if p.now = tick; p.now.Before(p.asleep) || !p.often && p.armed.After(p.now) {
			continue
		}
		p.ticks++
		p.r.Tick(p.now)
		if p.r.ConfirmDue(p.now) {
			p.confirms(p.r.NextConfirm(p.now))
		}
		p.carriesOut()
		p.armed = p.r.NextTick()
	}
}

// carriesOut does what the primary asks for, and writes it down.
func (p *reigning) carriesOut() {
	for p.r.Pending() {
		for _, e := range slices.Clone(p.r.Effects()) {
			switch e.Kind {
			case EffectPersistEpoch:
				p.accepted = e.Epoch
			case EffectSettle:
				p.r.Settled(p.accepted, p.now)
			case EffectPropose:
				p.tells(fmt.Sprint("asks for ", e.Change.InSync, ": ", e.Change.Reason))
				p.in(3*ms, func() { p.applies(e.Change) })
			case EffectLog:
				p.tells(fmt.Sprint(e.Peer, ": ", e.Text))
			case EffectServe, EffectSealed, EffectReopen:
				p.tells(fmt.Sprint("effect ", e.Kind))
			case EffectEndRole, EffectBeginReign, EffectBeginFollow, EffectDropPeer:
			}
		}
	}
}

// tells writes down what was done, but not a request that is repeated.
func (p *reigning) tells(what string) {
	if n := len(p.story); n == 0 || p.story[n-1].what != what {
		p.story = append(p.story, act{p.now, what})
	}
}

func (p *reigning) applies(c ChangeInSync) {
	if r := p.r.GroupRecord(); c.Version == r.Version {
		r.Version++
		r.InSync = c.InSync
		p.r.Record(r, p.now)
	}
}

// answers has a standby say something when its time comes, on its connection.
func (p *reigning) answers(u UUID, do func(c ConnID)) {
	b := p.peers[u]
	c := b.conn
	at := later(p.now.Add(b.lag), b.silent)
	p.in(at.Sub(p.now), func() {
		if c != 0 && b.conn == c {
			do(c)
		}
	})
}

func (p *reigning) dials(u UUID) {
	b := p.peers[u]
	p.conns++
	b.conn = p.conns
	require.Empty(p.t, p.r.Hello(b.conn, Hello{UUID: u, Boot: boot(1), Epoch: 1}, p.now).Refused)
	p.acknowledges(u)
	p.confirm(u, p.r.ConfirmNumber())
}

func (p *reigning) acknowledges(u UUID) {
	seq := p.r.Last().Seq
	p.answers(u, func(c ConnID) { p.r.Acked(c, 1, seq, 0, p.now) })
}

func (p *reigning) confirm(u UUID, n uint64) {
	p.answers(u, func(c ConnID) { p.r.Confirmed(c, 1, n, p.now) })
}

func (p *reigning) confirms(n uint64) {
	p.confirm("B", n)
	p.confirm("C", n)
}

func (p *reigning) appendsEvery(every time.Duration) {
	p.in(every, func() { p.appendsEvery(every) })
	if p.now.Before(p.sealed) {
		return
	}
	p.r.Appended(Position{1, p.r.Last().Seq + 1}, p.now)
	p.r.Synced(p.r.Last().Seq, p.now)
	p.acknowledges("B")
	p.acknowledges("C")
}

// mishap chooses something that goes wrong. The durations stay clear of the moments
// at which they would begin to matter.
func (p *reigning) mishap() func() {
	b := p.peers["B"]
	some := func(of ...time.Duration) time.Duration { return of[p.rng.IntN(len(of))] }
	switch p.rng.IntN(5) {
	case 0, 1:
		long := some(30*ms, 200*ms, 350*ms, 800*ms)
		return func() { b.silent = p.now.Add(long) }
	case 2:
		away := some(20*ms, 200*ms, 700*ms)
		return func() {
			p.r.PeerGone(b.conn, p.now)
			b.conn = 0
			p.in(away, func() { p.dials("B") })
		}
	case 3:
		return func() {
			p.sealed = p.now.Add(DefaultReplicaConfig().SealFor + tickSlack)
			_ = p.r.Seal(1, "C", p.now) // whether it is refused shows in the story
		}
	default:
		long := some(50*ms, 400*ms, 1300*ms)
		return func() { p.asleep = p.now.Add(long) }
	}
}

// alike plays a script with both, and requires that they do the same within slack. It
// returns what they did, and how often the one that ticks at its deadlines ticked.
func alike(t *testing.T, seed uint64, long, slack time.Duration, script func(p *reigning)) (story []act, ticks int) {
	t.Helper()
	often, seldom := reigningAs(t, seed, true), reigningAs(t, seed, false)
	whats := [2][]string{}
	for i, p := range []*reigning{often, seldom} {
		script(p)
		p.runs(long)
		for _, a := range p.story {
			whats[i] = append(whats[i], a.what)
		}
	}
	require.Equal(t, whats[0], whats[1], "world %d", seed)
	for i, a := range often.story {
		late := seldom.story[i].at.Sub(a.at)
		require.LessOrEqual(t, late.Abs(), slack, "world %d: %s", seed, a.what)
	}
	return seldom.story, seldom.ticks
}

func TestAPrimaryThatTicksAtItsDeadlinesDoesTheSame(t *testing.T) {
	ticks, acts := 0, 0
	const worlds, each = 30, 13 * time.Second
	for seed := range uint64(worlds) {
		story, n := alike(t, seed, each, tickSlack, func(p *reigning) {
			for at := time.Second; at < 9*time.Second; at += 2500 * ms {
				p.in(at+time.Duration(p.rng.IntN(1000))*ms+ms/2, p.mishap())
			}
		})
		ticks, acts = ticks+n, acts+len(story)
	}
	require.Greater(t, acts, 12*worlds, "the worlds are too quiet to tell anything")
	require.Less(t, ticks, worlds*int(each/ms)/15, "it ticks about as often as without deadlines")
	t.Logf("%d acts, %d of %d ticks", acts, ticks, worlds*int(each/ms))
}

// Whether a standby is slow shows in the sum of many short waits, most of which begin
// and end between two ticks.
func TestWaitsBetweenTwoTicksCount(t *testing.T) {
	for _, c := range []struct {
		lag     time.Duration
		removed bool
	}{{30 * ms, false}, {50 * ms, false}, {75 * ms, true}, {85 * ms, true}, {120 * ms, true}, {200 * ms, true}} {
		for seed := range uint64(4) {
			story, _ := alike(t, seed, 9*time.Second, 400*ms, func(p *reigning) {
				p.in(time.Second, func() { p.peers["B"].lag = c.lag })
				p.in(6*time.Second, func() { p.peers["B"].lag = 0 })
			})
			removed := slices.ContainsFunc(story, func(a act) bool { return a.what == "asks for [A C]: it was waited for too long" })
			require.Equal(t, c.removed, removed, "one that takes %s, in world %d", c.lag, seed)
		}
	}
}
