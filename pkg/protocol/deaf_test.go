package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A leader that cannot hear the primary, while another monitor can, has that one
// lead, and fails nothing over.
func TestDeafLeaderYields(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.silent["A"] = true
	d.passes(320 * ms)
	require.Equal(t, "A", d.asked[0], "the others are asked during the retries")
	d.m.PeerHears("m2", "A", 20*ms, d.now)
	d.passes(300 * ms)
	require.Len(t, d.yields, 1)
	require.Equal(t, "m2", d.yields[0].Peer)
	require.Equal(t, "leader-deaf", d.yields[0].Command.Note.Kind)
	require.Contains(t, d.yields[0].Command.Note.Detail, "monitor m2 hears it")
	require.Empty(t, d.promotions())
	d.m.Lead(false, d.now)
	d.passes(10 * time.Second)
	require.Empty(t, d.promotions())
}

// A hand-over that does not come about is not waited for long, and not tried again
// soon.
func TestHandOverThatFailsIsNotWaitedFor(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.silent["A"] = true
	d.passes(320 * ms)
	d.m.PeerHears("m2", "A", 20*ms, d.now)
	d.passes(200 * ms)
	require.Len(t, d.yields, 1)
	d.passes(yieldWithin)
	d.promotes("B", "primary-down")
	require.Len(t, d.yields, 1)
}

// What another monitor heard about when this one did proves nothing: nor does an
// answer about somebody else, nor one that comes when all is decided.
func TestOneThatIsReallyDownIsFailedOver(t *testing.T) {
	for name, tell := range map[string]func(d *desk){
		"nobody answers":        func(*desk) {},
		"heard a little later":  func(d *desk) { d.m.PeerHears("m2", "A", 320*ms-150*ms, d.now) },
		"another node is heard": func(d *desk) { d.m.PeerHears("m2", "B", 0, d.now) },
		"a stranger is heard":   func(d *desk) { d.m.PeerHears("m2", "X", 0, d.now) },
	} {
		t.Run(name, func(t *testing.T) {
			d := at(t, born(t, "A", "B").reg)
			d.silent["A"] = true
			d.passes(320 * ms)
			tell(d)
			d.passes(400 * ms)
			d.promotes("B", "primary-down")
			require.Empty(t, d.yields)
		})
	}
}

func TestOnlyTheLeaderAsksForThePrimary(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.silent["B"] = true
	d.passes(time.Second)
	require.Empty(t, d.asked, "B is no primary")
	d.m.Lead(false, d.now)
	d.silent["A"] = true
	d.passes(time.Second)
	require.Empty(t, d.asked)
}
