package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// notes returns the stories of complete changes in the history.
func (d *desk) notes() (out []HistoryEvent) {
	for _, e := range d.reg.History {
		if e.Kind == KindFailover || e.Kind == KindSwitchover {
			out = append(out, e)
		}
	}
	return out
}

// failedOver brings a group through a failover from A to B, which serves.
func failedOver(t *testing.T) *desk {
	d := at(t, born(t, "A", "B").reg)
	d.crashes("A")
	d.passes(100 * ms)
	d.serves("B")
	d.passes(100 * ms)
	return d
}

func TestTheStoryWaitsForTheFirstAnswer(t *testing.T) {
	d := failedOver(t)
	require.Empty(t, d.notes())
	d.m.Answered(0, 2, d.now.Add(5*ms), 7, d.now)
	d.carryOut()
	notes := d.notes()
	require.Len(t, notes, 1)
	require.Equal(t, 7, notes[0].Held)
	require.Contains(t, notes[0].TimelineMS, "first_answer")
	require.Greater(t, notes[0].TimelineMS["first_answer"], notes[0].TimelineMS["serving"])
	d.passes(2 * time.Second)
	require.Len(t, d.notes(), 1, "it is told once")
}

func TestTheStoryDoesNotWaitForEver(t *testing.T) {
	d := failedOver(t)
	d.m.Answered(0, 1, d.now, 3, d.now) // of an earlier epoch
	d.passes(1100 * ms)
	notes := d.notes()
	require.Len(t, notes, 1)
	require.NotContains(t, notes[0].TimelineMS, "first_answer")
	require.Zero(t, notes[0].Held)
}

func TestAnAnswerMayComeBeforeTheNodeSaysThatItServes(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.crashes("A")
	d.passes(100 * ms)
	d.m.Answered(0, 2, d.now, 2, d.now)
	d.serves("B")
	d.passes(100 * ms)
	require.Len(t, d.notes(), 1)
	require.Equal(t, 2, d.notes()[0].Held)
}
