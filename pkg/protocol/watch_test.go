package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gaps returns the times between a node's probes.
func (d *desk) gaps(name string) (out []time.Duration) {
	var last time.Time
	for _, p := range d.probed {
		if p.node != name {
			continue
		}
		if !last.IsZero() {
			out = append(out, p.at.Sub(last))
		}
		last = p.at
	}
	return out
}

func TestSilentNodeIsExpiredRetriedThenDown(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	last := d.now
	d.silent["A"] = true
	d.passes(300 * ms)
	require.False(t, d.doubts("A"), "300 ms are not more than 300 ms")
	d.passes(10 * ms)
	require.True(t, d.doubts("A"))
	d.passes(100 * ms)
	require.Equal(t, []time.Duration{50 * ms, 50 * ms}, d.gaps("A"))
	require.False(t, d.down("A"), "the last probe has time until its deadline")
	d.keep = true
	d.passes(90 * ms)
	require.False(t, d.down("A"))
	d.passes(10 * ms)
	require.True(t, d.down("A"))
	require.Equal(t, 510*ms, d.now.Sub(last))
	retries := d.told("heartbeat expired, retrying")
	require.Len(t, retries, 3)
	for i, e := range retries {
		require.Equal(t, i+1, e.Retry)
		require.Equal(t, 3, e.Retries)
		require.Equal(t, "A", e.Node)
	}
	require.Len(t, d.told("primary down, failing over"), 1)
	require.Equal(t, UUID("B"), d.promotion().Primary.UUID)
	require.Equal(t, []UUID{"A"}, d.promotion().Down)
}

func TestAnySignOfLifeClearsASuspicion(t *testing.T) {
	for name, sign := range map[string]func(d *desk){
		"a heartbeat": func(d *desk) { delete(d.silent, "A"); d.beats("A"); d.silent["A"] = true },
		"the answer to the first probe, late": func(d *desk) {
			e := d.probes[0]
			d.probes, d.sent = d.probes[1:], d.sent[1:]
			d.m.ProbeDone(e.Node, e.Probe, ProbeAnswered, *d.nodes["A"], d.now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := at(t, born(t, "A", "B").reg)
			d.silent["A"] = true
			d.passes(420 * ms) // no, no, and the last one is on its way
			sign(d)
			require.False(t, d.doubts("A"))
			d.passes(300 * ms)
			require.False(t, d.doubts("A"), "it begins anew")
			require.Empty(t, d.promotions())
			require.Len(t, d.told("node heard again, suspicion cleared"), 1)
		})
	}
}

func TestRefusedOrClosedHurriesAndCondemnsNobody(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.crashes("A")
	require.Empty(t, d.gaps("A"))
	require.True(t, d.doubts("A"), "at once")
	require.Len(t, d.told("heartbeat connection lost, retrying"), 1)
	d.passes(30 * ms)
	require.False(t, d.down("A"))
	d.passes(10 * ms)
	require.True(t, d.down("A"))
	require.Equal(t, []time.Duration{20 * ms, 20 * ms}, d.gaps("A"))

	// A closed connection and an answer: it only dialled anew.
	d = at(t, born(t, "A", "B").reg)
	d.m.ConnClosed("A", boot(1), d.now)
	d.carryOut()
	require.False(t, d.doubts("A"))
	d.passes(time.Second)
	require.Empty(t, d.promotions())

	// Silent at first, then refused: the pauses become short.
	d = at(t, born(t, "A", "B").reg)
	d.silent["A"] = true
	d.passes(320 * ms)
	d.refusing["A"] = true
	d.passes(60 * ms)
	require.Equal(t, []time.Duration{50 * ms, 20 * ms}, d.gaps("A"))
}

// What a process was asked before its connection closed, it may have answered before
// it died: the answer comes on another connection, and may come last.
func TestAnAnswerFromBeforeTheCloseIsNoSignOfLife(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	pushed := d.m.Ask()
	d.crashes("A")
	require.Nil(t, d.m.HeardAnswer(*d.nodes["A"], pushed, d.now))
	require.True(t, d.doubts("A"))
	d.passes(40 * ms)
	require.True(t, d.down("A"), "as if it had not come")
	require.Nil(t, d.m.HeardAnswer(*d.nodes["A"], pushed, d.now))
	require.True(t, d.down("A"))

	// It is alive, and says so when it is asked again.
	d = at(t, born(t, "A", "B").reg)
	d.silent["A"] = true
	d.m.ConnClosed("A", boot(1), d.now)
	d.carryOut()
	require.Nil(t, d.m.HeardAnswer(*d.nodes["A"], d.m.Ask(), d.now))
	require.False(t, d.doubts("A"))
	require.Nil(t, d.m.HeardAnswer(*d.nodes["A"], pushed, d.now), "it is heard, and whatever it says counts again")
}

// The answer to a probe from before the close counts neither way: it is asked again.
func TestAProbeFromBeforeTheCloseIsSentAgain(t *testing.T) {
	for name, alive := range map[string]bool{"it is dead": false, "it is alive": true} {
		t.Run(name, func(t *testing.T) {
			reg := born(t, "A", "B").reg
			reg.Settings.Retries = 1
			d := at(t, reg)
			d.silent["A"] = true
			d.passes(310 * ms)
			require.True(t, d.doubts("A"))
			e := d.probes[0]
			d.probes, d.sent = nil, nil
			d.silent["A"] = false
			d.crashes("A")
			d.refusing["A"] = !alive
			d.m.ProbeDone(e.Node, e.Probe, ProbeAnswered, *d.nodes["A"], d.now)
			d.carryOut()
			d.passes(20 * ms)
			require.Equal(t, !alive, d.down("A"))
			require.False(t, d.doubts("A"))
		})
	}
}

func TestConnClosedThatSaysNothing(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.m.ConnClosed("nobody", boot(1), d.now)
	d.m.ConnClosed("A", boot(0), d.now) // of an earlier boot
	require.False(t, d.doubts("A"))
	require.Empty(t, d.m.Effects())
	d.crashes("A")
	d.passes(time.Second)
	d.forget()
	d.m.ConnClosed("A", boot(1), d.now)
	d.carryOut()
	require.Empty(t, d.probed, "it is down already")

	d = deskOf(t, born(t, "A", "B").reg)
	d.m.ConnClosed("A", boot(1), d.now)
	require.False(t, d.doubts("A"), "not heard yet")
}

func TestNotHeardYetIsNotDown(t *testing.T) {
	d := deskOf(t, born(t, "A", "B").reg)
	d.silent["A"] = true
	d.passes(300 * ms)
	require.True(t, d.m.Learning(wall.Add(299*ms)))
	require.False(t, d.m.Learning(wall.Add(300*ms)))
	require.Empty(t, d.probed)
	require.Empty(t, d.promotions())
	d.passes(200 * ms)
	require.Empty(t, d.promotions())
	d.passes(10 * ms) // after an expiry and the retries it is
	require.Equal(t, UUID("B"), d.promotion().Primary.UUID)
	require.Equal(t, "not heard since this monitor started", d.told("heartbeat expired, retrying")[0].Detail)
}

func TestMonitorThatSleptLearnsAnew(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.silent["A"], d.silent["B"] = true, true
	d.passes(320 * ms)
	require.True(t, d.doubts("A"))
	d.probes, d.sent = nil, nil
	d.now = d.now.Add(10 * time.Second)
	d.m.Tick(d.now)
	d.carryOut()
	require.False(t, d.doubts("A"))
	require.True(t, d.m.Learning(d.now))
	require.Len(t, d.told("monitor slept, learning anew before it judges"), 1)
	d.probed = nil
	d.passes(290 * ms)
	require.Empty(t, d.probed)
	d.silent["A"], d.silent["B"] = false, false
	d.passes(2 * time.Second)
	require.Empty(t, d.promotions())
	require.False(t, d.down("A"))
}

func TestNodeThatReturnsIsUp(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.crashes("B")
	d.passes(100 * ms)
	require.True(t, d.down("B"))
	require.Len(t, d.told("node down"), 1)
	require.Empty(t, d.promotions(), "a standby's end is the primary's business")
	d.refusing["B"] = false
	d.passes(100 * ms)
	require.False(t, d.down("B"))
	require.Len(t, d.told("node is back"), 1)
}

func TestAddressAndPriorityFollowTheNode(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.nodes["B"].Address, d.nodes["B"].Priority = "B:2", 7
	d.passes(100 * ms)
	require.Equal(t, "B:2", d.reg.Nodes["B"].Address)
	require.Equal(t, 7, d.reg.Nodes["B"].Priority)
	require.Len(t, d.proposed, 1)
}
