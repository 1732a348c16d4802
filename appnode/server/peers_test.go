package server

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

func info(name string) wire.NodeInfo {
	return wire.NodeInfo{Name: name, UUID: protocol.UUID("u-" + name), Address: name + ":8081"}
}

func said(name string, seq protocol.Seq) *wire.Heartbeat {
	return &wire.Heartbeat{
		Name: name, State: protocol.StateStandby,
		Groups: []wire.GroupStatus{{Role: protocol.RoleStandby, Epoch: 3, Position: protocol.Position{Epoch: 3, Seq: seq}}},
	}
}

func TestPeersAreSeenUpAndDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peers{seen: map[protocol.UUID]sight{}}
		p.saw(info("app2"), said("app2", 40), nil)
		p.saw(info("app3"), nil, errors.New("connection refused"))
		time.Sleep(1500 * time.Millisecond)
		two, three := p.seen["u-app2"], p.seen["u-app3"]
		require.Equal(t, wire.Peer{
			Name: "app2", UUID: "u-app2", Address: "app2:8081", Sees: wire.SeesUp, AgeMS: 1500, State: protocol.StateStandby,
			Role: protocol.RoleStandby, Epoch: 3, At: protocol.Position{Epoch: 3, Seq: 40}, LagRecords: 2,
		}, two.peer(protocol.Position{Epoch: 3, Seq: 42}))
		require.Zero(t, two.peer(protocol.Position{Epoch: 3, Seq: 39}).LagRecords, "nobody is behind one that is behind it")
		require.Equal(t, wire.Peer{Name: "app3", UUID: "u-app3", Address: "app3:8081", Sees: wire.SeesDown, AgeMS: -1, Why: "connection refused"},
			three.peer(protocol.Position{}))

		p.saw(info("app2"), nil, errors.New("timeout"))
		require.Equal(t, wire.SeesDown, p.seen["u-app2"].sees())
		require.Equal(t, two.heard, p.seen["u-app2"].heard, "what it said last is kept")
		p.keep(map[protocol.UUID]bool{"u-app2": true})
		require.Len(t, p.seen, 1)
	})
}

// The stream from the primary is looked at more closely than once a second.
func TestAStreamSaysMoreThanAQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := func(u protocol.UUID) (wire.NodeInfo, bool) { return info("app1"), u == "u-app1" }
		began := time.Now()
		time.Sleep(time.Second)
		asked := []sight{{info: info("app1"), heard: began, why: "timeout"}}
		fresh := withStream(asked, "u-app1", time.Now(), known)
		require.Equal(t, wire.SeesUp, fresh[0].sees())
		require.Equal(t, time.Now(), fresh[0].heard)
		old := withStream([]sight{{info: info("app1"), heard: began, why: "timeout"}}, "u-app1", began.Add(time.Millisecond), known)
		require.Equal(t, wire.SeesDown, old[0].sees())
		require.Equal(t, began.Add(time.Millisecond), old[0].heard)
		require.Len(t, withStream(nil, "u-app1", time.Now(), known), 1, "also before it was asked")
		require.Empty(t, withStream(nil, "u-app9", time.Now(), known))
	})
}
