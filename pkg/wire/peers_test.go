package wire

import (
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

func TestDifferences(t *testing.T) {
	c := Cluster{Nodes: []NodeView{
		{Name: "app1", State: protocol.StatePrimary, Sees: map[string]string{"app2": SeesUp, "app3": SeesDown, "gone": SeesDown}},
		{Name: "app2", State: protocol.StateStandby, Sees: map[string]string{"app1": SeesDown, "app3": SeesUp}},
		{Name: "app3", State: protocol.StateUnreachable, Sees: map[string]string{"app1": SeesDown, "app2": SeesDown}},
	}}
	require.Equal(t, []Difference{
		{By: "app2", Of: "app1", Sees: SeesDown},
		{By: "app2", Of: "app3", Sees: SeesUp},
	}, c.Differences())
	require.Empty(t, Cluster{}.Differences())
}
