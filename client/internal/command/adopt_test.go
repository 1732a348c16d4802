package command

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

func heardNodes() []wire.Witness {
	return []wire.Witness{
		{
			Name: "app1", Address: "127.0.0.1:8081", Cluster: "c-0", State: protocol.StatePrimary, AgoMS: 41, There: true,
			Groups: []wire.WitnessGroup{{Epoch: 3, Version: 12, Position: protocol.Position{Epoch: 3, Seq: 100}, Serving: true}},
		},
		{Name: "app2", Address: "127.0.0.1:8082", Cluster: "c-0", State: protocol.StateStandby, AgoMS: 61234},
	}
}

const heardTable = `HEARD  STATE    EPOCH  VERSION  POSITION  SERVING  HEARD BEFORE  CLUSTER  ADDRESS
app1   primary  3      12       3.100     yes      41ms          c-0      127.0.0.1:8081
app2   gone     -      -        -         -        1m1s          c-0      127.0.0.1:8082

`

func TestAdopt(t *testing.T) {
	f := newFake(t)
	adopted := wire.Adopted{
		Node: "app1", Cluster: "c-0", Serving: true, Heard: heardNodes(),
		Groups: []protocol.GroupRecord{{Epoch: 4, Version: 13}},
	}
	f.on("POST /v1/adopt", adopted)
	r := f.run(t, "-adopt", "app1", "-reason", "disk lost")
	require.Zero(t, r.code, r.errors)
	require.Equal(t, []string{`POST /v1/adopt {"node":"app1","reason":"disk lost"}`}, f.requests())
	require.Equal(t, heardTable+"the registry is that of cluster c-0 again\napp1 is the primary of group 0 in epoch 4, version 13\nnothing acknowledged is lost\n", r.out)

	adopted.Loss, adopted.Serving = "app2 was last heard 1m0s ago", false
	f.on("POST /v1/adopt", adopted)
	r = f.run(t, "-adopt", "app1", "-reason", "disk lost", "-force")
	require.Zero(t, r.code, r.errors)
	require.True(t, strings.HasSuffix(r.out, "it does not serve yet: -status tells how things stand\nacknowledged writes may be lost: app2 was last heard 1m0s ago\n"), r.out)
	require.Contains(t, f.requests()[1], `"force":true`)
	r = f.run(t, "-adopt", "app1", "-reason", "disk lost", "-force", "-o", "json")
	require.Contains(t, r.out, `"loss": "app2 was last heard 1m0s ago"`)
}

// What was heard is shown beside the refusal: the operator decides by it.
func TestARefusedAdoptionShowsWhatWasHeard(t *testing.T) {
	f := newFake(t)
	f.on("POST /v1/adopt", problem.Errorf(problem.WouldLoseData, "app2 was last heard 1m0s ago"))
	f.on("GET /v1/adopt", wire.Witnesses{Heard: heardNodes()})
	r := f.run(t, "-adopt", "app1", "-reason", "disk lost")
	require.Equal(t, problem.ExitRefused, r.code)
	require.Empty(t, r.out)
	require.Equal(t, heardTable+"client: app2 was last heard 1m0s ago\n", r.errors)
}

func TestStatusShowsWhoIsRefused(t *testing.T) {
	f := newFake(t)
	f.on("GET /v1/cluster", wire.Cluster{Cluster: "c-1", Refused: heardNodes()[:1]})
	r := f.run(t, "-status")
	require.Contains(t, r.out, "-adopt NODE -reason TEXT")
	require.Contains(t, r.out, "app1   primary  3      12       3.100     yes      41ms          c-0")
}
