package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNewBootIsBelievedWhenTheOldProcessIsGone(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.refusing["B"] = true
	newcomer := *d.nodes["B"]
	newcomer.Boot, newcomer.Address = boot(2), "elsewhere:1"
	require.Nil(t, d.m.Heard(newcomer, d.now))
	d.carryOut()
	require.Equal(t, []probed{{"B", d.now}}, d.probed)
	require.Equal(t, boot(2), d.reg.Nodes["B"].Boot, "the old address refused")

	d = at(t, born(t, "A", "B").reg)
	d.returns("B", of("B", 2))
	d.passes(100 * ms)
	require.Equal(t, boot(2), d.reg.Nodes["B"].Boot, "the new boot answered there itself")
}

func TestNewcomerBesideALivingProcessIsADuplicate(t *testing.T) {
	for name, as := range map[string]ReplicaBoot{"a copy of its directory": of("B", 2), "another directory": of("X", 1)} {
		t.Run(name, func(t *testing.T) {
			d := at(t, born(t, "A", "B").reg)
			newcomer := *d.nodes["B"]
			newcomer.UUID, newcomer.Boot, newcomer.Address = as.UUID, as.Boot, "elsewhere:1"
			if as.UUID != "B" {
				newcomer.Groups = nil
			}
			require.Nil(t, d.m.Heard(newcomer, d.now), "not judged yet")
			d.carryOut() // the old one answers
			no := d.m.Heard(newcomer, d.now.Add(10*ms))
			require.NotNil(t, no)
			require.Equal(t, RefuseDuplicateNode, no.Code)
			d.passes(500 * ms)
			require.Equal(t, UUID("B"), d.reg.Nodes["B"].UUID)
			require.Equal(t, boot(1), d.reg.Nodes["B"].Boot)
			require.False(t, d.down("B"))
			d.probed = nil
			d.passes(600 * ms)
			require.Nil(t, d.m.Heard(newcomer, d.now), "it is asked anew after a second")
			d.carryOut()
			require.Len(t, d.probed, 1)
		})
	}
}

func TestSilenceProvesNothingForANewcomer(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.silent["B"] = true
	newcomer := *d.nodes["B"]
	newcomer.Boot = boot(2)
	for i := range 30 {
		no := d.m.Heard(newcomer, d.now)
		d.carryOut()
		d.passes(100 * ms)
		if i > 15 {
			require.NotNil(t, no)
			require.Equal(t, RefuseDuplicateNode, no.Code)
			require.Contains(t, no.Detail, "nobody answers and nobody refuses")
		}
	}
	require.Equal(t, boot(1), d.reg.Nodes["B"].Boot)
	require.True(t, d.down("B"), "which does not prove that it is gone")
}

func TestEmptyDirectoryOfADownNodeIsTaken(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.silent["B"] = true
	d.passes(600 * ms)
	require.True(t, d.down("B"))
	newcomer := NodeReport{Cluster: "c-1", Name: "B", UUID: "B2", Boot: boot(1), Address: "elsewhere:1", Priority: 50}
	d.nodes["B"] = &newcomer
	delete(d.silent, "B")
	require.Nil(t, d.m.Heard(newcomer, d.now))
	require.Equal(t, "elsewhere:1", d.m.out[len(d.m.out)-1].Address, "it answers for itself")
	d.carryOut()
	require.Equal(t, UUID("B2"), d.reg.Nodes["B"].UUID)
	require.Equal(t, []UUID{"A", "B"}, d.reg.Groups[0].InSync)
}

// B is frozen when a late word comes of an empty directory that it had before, and
// that nobody registered. It must not be locked out by a process that is gone.
func TestLateWordOfAnUnregisteredDirectoryLocksNobodyOut(t *testing.T) {
	for name, gone := range map[string]func(d *desk){
		"nobody answers":  func(d *desk) { d.silent["B"] = true },
		"nobody is there": func(d *desk) { d.refusing["B"] = true },
	} {
		t.Run(name, func(t *testing.T) {
			d := at(t, born(t, "A", "B").reg)
			gone(d)
			d.passes(600 * ms)
			require.True(t, d.down("B"))
			late := NodeReport{Cluster: "c-1", Name: "B", UUID: "B0", Boot: boot(1), Address: "B:1", Priority: 50}
			require.Nil(t, d.m.Heard(late, d.now))
			d.carryOut()
			d.passes(time.Second)
			delete(d.silent, "B")
			delete(d.refusing, "B")
			d.passes(200 * ms)
			require.Equal(t, UUID("B"), d.reg.Nodes["B"].UUID)
			require.False(t, d.down("B"))
		})
	}
}

func TestLateWordOfAReplacedBootIsRefused(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	old := *d.nodes["A"]
	d.returns("A", of("A", 2))
	d.passes(100 * ms)
	d.forget()
	no := d.m.Heard(old, d.now)
	require.NotNil(t, no)
	require.Equal(t, RefuseDuplicateNode, no.Code)
	d.carryOut()
	require.Empty(t, d.proposed)
	require.Equal(t, boot(2), d.m.Nodes()[0].Report.Boot)
}

func TestStrangersAreRefused(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	no := d.m.Heard(NodeReport{Cluster: "c-2", Name: "A", UUID: "A", Boot: boot(1)}, d.now)
	require.Equal(t, RefuseWrongCluster, no.Code)
	no = d.m.Heard(NodeReport{Name: "D", UUID: "D", Boot: boot(1), Groups: []GroupReport{{Position: Position{1, 4}}}}, d.now)
	require.Equal(t, RefuseRegistryBehind, no.Code)
	require.Nil(t, NewMonitor(DefaultMonitorConfig(), Registry{}, wall).Heard(NodeReport{Name: "A"}, wall), "no registry yet")
}

// Somebody else answers where the primary was: that is no sign of its life.
func TestStrangerAtTheAddressDoesNotKeepADeadNodeAlive(t *testing.T) {
	for name, spoil := range map[string]func(n *NodeReport){
		"of another cluster":   func(n *NodeReport) { n.Cluster = "c-2" },
		"with another journal": func(n *NodeReport) { n.UUID = "Z" },
	} {
		t.Run(name, func(t *testing.T) {
			d := at(t, born(t, "A", "B").reg)
			spoil(d.nodes["A"])
			d.passes(2 * time.Second)
			require.Equal(t, UUID("B"), d.promotion().Primary.UUID)
		})
	}
}

// A monitor that did not lead found that a newcomer might take the place of a node that
// it could not hear. That is out of date as soon as it hears it.
func TestAClaimIsAskedAnewOnceTheOldProcessIsHeard(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.m.Lead(false, d.now)
	d.silent["A"] = true
	d.passes(time.Second)
	require.True(t, d.down("A"))
	n := NodeReport{Cluster: d.reg.Cluster, Name: "A", UUID: "A2", Boot: boot(1), Address: "A2:1"}
	require.Nil(t, d.m.Heard(n, d.now))
	asked := d.m.Effects()
	require.Equal(t, MonitorProbe, asked[len(asked)-1].Kind)
	d.m.ProbeDone("A", asked[len(asked)-1].Probe, ProbeAnswered, n, d.now)
	delete(d.silent, "A")
	d.passes(time.Second)
	require.False(t, d.down("A"))
	d.m.Lead(true, d.now)
	d.forget()
	require.Nil(t, d.m.Heard(n, d.now))
	d.carryOut()
	require.Equal(t, []probed{{"A", d.now}}, d.probed, "is the old one there?")
	require.Empty(t, d.proposed)
	require.Equal(t, RefuseDuplicateNode, d.m.Heard(n, d.now).Code)
}

// Two newcomers claim a name in turn. The proposal for the first, which is gone,
// must not come late over the second, which lives.
func TestLateRegistrationDoesNotReplaceALivingNode(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.crashes("B")
	d.passes(100 * ms)
	d.forget()
	d.keep = true
	d.returns("B", of("B2", 1))
	d.passes(100 * ms)
	late := d.proposed[0]
	require.Equal(t, UUID("B2"), late.Register.Node.UUID)
	d.keep = false
	d.returns("B", of("B3", 1))
	d.passes(100 * ms)
	require.Equal(t, UUID("B3"), d.reg.Nodes["B"].UUID)
	no := d.applies(late)
	require.NotNil(t, no)
	require.Equal(t, RefuseStaleVersion, no.Code)
	d.passes(time.Second)
	require.Equal(t, UUID("B3"), d.reg.Nodes["B"].UUID)
	require.False(t, d.down("B"))
}
