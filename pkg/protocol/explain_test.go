package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (d *desk) explains() (Explanation, map[string]NodeProspect) {
	x := d.m.Explain(0, d.now)
	nodes := map[string]NodeProspect{}
	for _, n := range x.Nodes {
		nodes[n.Name] = n
	}
	return x, nodes
}

func TestExplainNamesTheCandidate(t *testing.T) {
	d := at(t, born(t, "A", "B", "C").reg)
	x, nodes := d.explains()
	require.Equal(t, "A", x.Primary)
	require.Equal(t, "B", x.Candidate)
	require.Equal(t, "steady", x.Rule)
	require.NotEmpty(t, x.When)
	require.Equal(t, "nothing: B holds every acknowledged write", x.Loss)
	require.Equal(t, 60*ms, x.Crashed)
	require.Equal(t, 550*ms, x.Silent)
	require.Equal(t, NodeProspect{Name: "A", Why: "it is the primary", InSync: true}, nodes["A"])
	require.Equal(t, NodeProspect{Name: "B", Can: true, InSync: true}, nodes["B"])
}

func TestExplainSaysWhoIsAwaited(t *testing.T) {
	d := at(t, born(t, "A", "B").reg)
	d.crashes("B")
	d.passes(time.Second)
	x, nodes := d.explains()
	require.Empty(t, x.Candidate)
	require.Contains(t, x.Reason, "B is down")
	require.Contains(t, x.Loss, "A or B returns with its disk")
	require.False(t, nodes["B"].Can)
	require.Contains(t, nodes["B"].Why, "start it again")
}

// What keeps a node from catching up is told beside that it has not.
func TestExplainTellsWhatAilsOneOutOfSync(t *testing.T) {
	d := at(t, born(t, "A", "B", "C").reg)
	rec := d.reg.Groups[0]
	require.Nil(t, d.applies(Command{ChangeInSync: &ChangeInSync{
		Version: rec.Version, Epoch: rec.Epoch, Primary: rec.Primary, InSync: []UUID{"A", "C"},
	}}))
	_, nodes := d.explains()
	require.Contains(t, nodes["B"].Why, "until it has caught up")
	require.NotContains(t, nodes["B"].Why, ";")
	d.crashes("B")
	d.passes(time.Second)
	_, nodes = d.explains()
	require.Contains(t, nodes["B"].Why, "until it has caught up; B is down: start it again")
}

func TestExplainTellsOfMaintenance(t *testing.T) {
	d := at(t, born(t, "A", "B", "C").reg)
	require.Nil(t, d.applies(maintenance("B", true)))
	rec := d.reg.Groups[0]
	require.Nil(t, d.applies(Command{ChangeInSync: &ChangeInSync{
		Version: rec.Version, Epoch: rec.Epoch, Primary: rec.Primary, InSync: []UUID{"A", "C"},
	}}))
	_, nodes := d.explains()
	require.False(t, nodes["B"].Can)
	require.Contains(t, nodes["B"].Why, "-maintenance B=off")
}
