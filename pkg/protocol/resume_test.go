package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// follows puts a monitor to work that watches and does not lead, and has its leader
// fail over to B.
func follows(t *testing.T) *desk {
	d := at(t, born(t, "A", "B").reg)
	d.m.Lead(false, d.now)
	d.crashes("A")
	d.passes(300 * ms)
	d.forget()
	require.Nil(t, d.applies(Command{Promote: &Promote{
		Version: d.reg.Groups[0].Version, Primary: of("B", 1), Down: []UUID{"A"}, Reason: "B took over from A (primary-down)",
	}}))
	return d
}

// The leader dies when the promotion is committed: the next one tells how it ended.
func TestNextLeaderTellsTheStory(t *testing.T) {
	d := follows(t)
	d.m.Lead(true, d.now)
	d.passes(100 * ms)
	require.Empty(t, d.promotions(), "it has been decided")
	d.serves("B")
	d.passes(100 * ms)
	require.Len(t, d.finished, 1)
	f := d.finished[0]
	require.Equal(t, []any{"A", "B", Epoch(2), "primary-down"}, []any{f.From, f.To, f.Epoch, f.Cause})
	require.Less(t, f.Serving.Sub(f.LastHeard), time.Second)
}

// A monitor that follows leaves the story to the leader, and begins the next one
// anew.
func TestFollowerForgetsTheStory(t *testing.T) {
	d := follows(t)
	d.serves("B")
	d.passes(time.Minute)
	d.m.Lead(true, d.now)
	d.passes(100 * ms)
	require.Empty(t, d.finished, "it was the former leader's")
	d.returns("B", of("B", 2))
	d.beats("B")
	d.promotes("B", "primary-restarted")
	d.serves("B")
	d.passes(100 * ms)
	require.Len(t, d.finished, 1)
	require.Equal(t, "B", d.finished[0].From)
	require.Less(t, d.finished[0].Serving.Sub(d.finished[0].LastHeard), time.Second, "not since the failover before")
}

// A monitor that does not lead any more knows nothing of why nobody was promoted: what
// it shows is how things are.
func TestFollowerForgetsTheRefusal(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.silent["B"] = true
	d.passes(time.Second)
	d.crashes("A")
	d.passes(time.Second)
	d.refusesBecause("B is down")
	d.m.Lead(false, d.now)
	delete(d.silent, "B")
	d.returns("A", of("A", 1))
	d.passes(time.Second)
	require.Equal(t, Prospect{Candidate: "B", Rule: "not-leader"}, d.m.Prospect(0, d.now))
}

// The registry took so long that another candidate was chosen, and then it took the
// first: the story tells what was committed.
func TestTheStoryIsOfWhoWasPromoted(t *testing.T) {
	d := at(t, born(t, "A", "B", "C").reg)
	d.keep = true
	d.crashes("A")
	d.passes(100 * ms)
	first := d.promotes("B", "primary-down")
	d.silent["B"] = true
	d.passes(800 * ms)
	all := d.promotions()
	require.Equal(t, UUID("C"), all[len(all)-1].Primary.UUID)
	d.silent, d.keep = map[string]bool{}, false
	d.passes(100 * ms)
	require.Nil(t, d.applies(Command{Promote: &first}))
	d.serves("B")
	d.passes(100 * ms)
	require.Len(t, d.finished, 1)
	require.Equal(t, []any{"A", "B", Epoch(2)}, []any{d.finished[0].From, d.finished[0].To, d.finished[0].Epoch})
}

// The registry is rebuilt in the middle of a switchover: there is nothing to tell of
// that one.
func TestAnotherChangeEndsTheStoryOfAPlan(t *testing.T) {
	for name, other := range map[string]func(d *desk){
		"the next epoch": func(d *desk) {
			require.Nil(d.t, d.applies(promote(d.reg.Groups[0].Version, of("C", 1))))
		},
		"a later one": func(d *desk) {
			for range 3 {
				d.reg, _ = d.reg.Apply(promote(d.reg.Groups[0].Version, of("C", 1)))
			}
			d.m.Registry(d.reg, d.now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := at(t, born(t, "A", "B", "C").reg)
			n := d.orders(d.m.Switchover(Order{To: "B"}, d.now))
			other(d)
			d.carryOut()
			d.abortsBecause(n, "C has become the primary of epoch")
			d.serves("C")
			d.passes(2 * time.Second)
			require.Empty(t, d.finished)
		})
	}
}
