package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// refusesBecause requires that nobody is promoted, and that people are told why.
func (d *desk) refusesBecause(why ...string) {
	d.t.Helper()
	require.Empty(d.t, d.promotions())
	p := d.m.Prospect(0, d.now)
	require.Empty(d.t, p.Candidate)
	for _, w := range why {
		require.Contains(d.t, p.Reason, w)
	}
}

func TestOrderOfCandidates(t *testing.T) {
	for _, c := range []struct {
		name    string
		arrange func(d *desk)
		to      UUID
	}{
		{"by name, where all else is equal", func(*desk) {}, "B"},
		{"by position", func(d *desk) { d.nodes["C"].Groups[0].Position = Position{1, 11} }, "C"},
		{"a higher epoch is a higher position", func(d *desk) {
			d.nodes["B"].Groups[0].Position, d.nodes["C"].Groups[0].Position = Position{0, 99}, Position{1, 1}
		}, "C"},
		{"by priority before position", func(d *desk) {
			d.nodes["B"].Groups[0].Position = Position{1, 99}
			d.nodes["C"].Priority = 51
		}, "C"},
		{"never priority 0", func(d *desk) { d.nodes["B"].Priority = 0 }, "C"},
		{"not who is down", func(d *desk) { d.silent["B"] = true }, "C"},
		{"not a corrupt one", func(d *desk) { d.nodes["B"].State = StateCorrupt }, "C"},
		{"not who waits for its disk", func(d *desk) { d.nodes["B"].DiskAge = 2 * time.Second }, "C"},
		{"not who has a full disk", func(d *desk) { d.nodes["B"].DiskFull = true }, "C"},
		{"not who is in maintenance, and so leaves", func(d *desk) { require.Nil(d.t, d.applies(maintenance("B", true))) }, "C"},
		{"not who is leaving", func(d *desk) { d.wants(2); require.Nil(d.t, d.applies(members(d.reg.Groups[0].Version, "A", "C"))) }, "C"},
		{"who is in maintenance, if there is no other", func(d *desk) {
			require.Nil(d.t, d.applies(maintenance("B", true)))
			d.silent["C"] = true
		}, "B"},
		{"who is in maintenance, if the other cannot", func(d *desk) {
			require.Nil(d.t, d.applies(maintenance("B", true)))
			d.nodes["C"].DiskFull = true
		}, "B"},
		{"not who is stopping", func(d *desk) { d.nodes["B"].Stopping, d.keep = true, true }, "C"},
		{"who is stopping, before who is in maintenance", func(d *desk) {
			require.Nil(d.t, d.applies(maintenance("B", true)))
			d.nodes["C"].Stopping, d.keep = true, true
		}, "C"},
		{"who is leaving, if there is no other", func(d *desk) {
			d.wants(2)
			require.Nil(d.t, d.applies(members(d.reg.Groups[0].Version, "A", "C")))
			d.silent["C"] = true
		}, "B"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := at(t, born(t, "A", "B", "C").reg)
			c.arrange(d)
			d.passes(time.Second)
			d.keep = false
			require.Empty(t, d.promotions())
			require.Equal(t, string(c.to), d.m.Prospect(0, d.now).Candidate, "what is said beforehand")
			d.crashes("A")
			d.passes(100 * ms)
			d.promotes(c.to, "primary-down")
		})
	}
}

func TestRefusalsNameWhoIsAwaited(t *testing.T) {
	for _, c := range []struct {
		name    string
		inSync  []UUID
		arrange func(d *desk)
		why     []string
	}{
		{"nobody else is in sync", []UUID{"A"}, func(*desk) {}, []string{"A is down: start it again"}},
		{"all are down", []UUID{"A", "B"}, func(d *desk) { d.crashes("B") }, []string{"A is down", "B is down"}},
		{"priority 0", []UUID{"A", "B"}, func(d *desk) { d.nodes["B"].Priority = 0 }, []string{"B has priority 0"}},
		{"corrupt", []UUID{"A", "B"}, func(d *desk) { d.nodes["B"].State = StateCorrupt }, []string{"B has a damaged journal"}},
		{"full", []UUID{"A", "B"}, func(d *desk) { d.nodes["B"].DiskFull = true }, []string{"B has a full disk"}},
		{"stalled", []UUID{"A", "B"}, func(d *desk) { d.nodes["B"].DiskAge = time.Minute }, []string{"B waits for its disk"}},
		{"failed", []UUID{"A", "B"}, func(d *desk) { d.nodes["B"].DiskFailed = "EIO" }, []string{"B has given up its disk (EIO)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := at(t, born(t, c.inSync...).reg)
			c.arrange(d)
			d.passes(100 * ms)
			d.crashes("A")
			d.passes(time.Second)
			d.refusesBecause(c.why...)
			require.NotEmpty(t, d.told("failover refused"))
			told := len(d.told("failover refused"))
			d.passes(5 * time.Second)
			require.Len(t, d.told("failover refused"), told, "the same is told once")
		})
	}
}

// Of two candidates whose last heartbeats are fresh, the one that has answered since
// the primary fell silent is there for certain.
func TestACandidateThatAnswersComesBeforeOneThatHasJustFrozen(t *testing.T) {
	for name, arrange := range map[string]func(d *desk){
		"by name":     func(*desk) {},
		"by priority": func(d *desk) { d.nodes["B"].Priority = 90 },
		"by position": func(d *desk) { d.nodes["B"].Groups[0].Position = Position{1, 99} },
	} {
		t.Run(name, func(t *testing.T) {
			d := at(t, born(t, "A", "B", "C").reg)
			arrange(d)
			d.passes(200 * ms)
			d.forget()
			require.Equal(t, "B", d.m.Prospect(0, d.now).Candidate, "else it would come first")
			d.silent["B"] = true
			d.passes(50 * ms)
			d.crashes("A")
			d.passes(100 * ms)
			d.promotes("C", "primary-down")
		})
	}
	d := at(t, born(t, "A", "B").reg)
	d.silent["B"] = true
	d.passes(50 * ms)
	d.crashes("A")
	d.passes(100 * ms)
	d.promotes("B", "primary-down")
}

// A candidate that was not just heard may be gone as well: it is asked first.
func TestCandidateMustHaveBeenHeard(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.silent["B"] = true
	d.passes(320 * ms)
	d.crashes("A")
	d.passes(50 * ms)
	require.True(t, d.down("A"))
	d.refusesBecause("B has not been heard: check it and its network")
	delete(d.silent, "B")
	d.passes(100 * ms)
	d.promotes("B", "primary-down")
}

// The refusal ends when the one that was awaited returns.
func TestRefusedFailoverGoesOnWhenTheAwaitedReturns(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.crashes("B")
	d.passes(time.Second)
	d.crashes("A")
	d.passes(time.Second)
	d.refusesBecause("B is down")
	d.returns("B", of("B", 2))
	d.passes(200 * ms)
	d.promotes("B", "primary-down")
}

func TestNobodyAwaitedButThePrimaryIsSaidBeforehand(t *testing.T) {
	d := at(t, born(t, "A").reg)
	d.refusesBecause("no other replica is in sync: only A holds every acknowledged write")
	d = at(t, born(t, "A", "B").reg)
	require.Equal(t, Prospect{Candidate: "B", Rule: "steady"}, d.m.Prospect(0, d.now))
}
