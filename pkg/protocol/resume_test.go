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
