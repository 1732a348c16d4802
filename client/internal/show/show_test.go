package show

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

func TestJSON(t *testing.T) {
	var out strings.Builder
	require.NoError(t, JSON(&out, map[string]any{"b": "<&>", "a": map[string]any{"base64": "/w=="}}))
	lines := []string{"{", `  "a": {`, `    "base64": "/w=="`, "  },", `  "b": "<&>"`, "}", ""}
	require.Equal(t, strings.Join(lines, "\n"), out.String())
}

func sample() wire.Cluster {
	return wire.Cluster{
		Cluster: "c1", Leader: "m1", Term: 2,
		Monitors: []wire.MonitorView{{Name: "m1", Address: "127.0.0.1:8080", Leader: true, Reachable: true}},
		Groups: []wire.GroupView{{
			Epoch: 3, Version: 7, Primary: "app1", Serving: true, InSync: []string{"app1", "app2"},
			Failover: wire.FailoverView{Possible: true, Candidate: "app2"},
		}},
		Nodes: []wire.NodeView{
			{
				Name: "app1", Address: "127.0.0.1:8081", State: protocol.StatePrimary, HeartbeatAgeMS: 42,
				Groups: []wire.NodeGroupView{{Role: protocol.RolePrimary, Position: protocol.Position{Epoch: 3, Seq: 9}}},
			},
			{
				Name: "app2", Address: "127.0.0.1:8082", State: protocol.StateCatchingUp, HeartbeatAgeMS: 1500, Maintenance: true,
				Groups: []wire.NodeGroupView{{Role: protocol.RoleStandby, Position: protocol.Position{Epoch: 3, Seq: 2}, LagRecords: 7, CopiesBehindMS: 12}},
			},
			{Name: "app3", State: protocol.StateStarting, HeartbeatAgeMS: -1},
		},
	}
}

func TestStatus(t *testing.T) {
	var out strings.Builder
	require.NoError(t, Status(&out, sample()))
	require.Equal(t, `cluster c1, led by m1 (term 2)

GROUP  EPOCH  VERSION  PRIMARY  SERVING  IN SYNC     FAILOVER
0      3      7        app1     yes      app1, app2  possible, to app2

NODE  GROUP  ROLE     STATE                      POSITION  LAG               HEARTBEAT      ADDRESS
app1  0      primary  primary                    3.9       0                 42ms           127.0.0.1:8081
app2  0      standby  catching-up (maintenance)  3.2       7 records, 12 ms  1.5s           127.0.0.1:8082
app3  -      -        starting                   -         -                 not heard yet  -

MONITOR  LEADER  REACHABLE  ADDRESS
m1       yes     yes        127.0.0.1:8080
`, out.String())
}

func TestStatusOfARefusedFailover(t *testing.T) {
	c := sample()
	c.Leader = ""
	c.Groups[0].Failover = wire.FailoverView{Reason: "app1 is the only replica in sync"}
	var out strings.Builder
	require.NoError(t, Status(&out, c))
	require.Contains(t, out.String(), "not possible: app1 is the only replica in sync")
	require.Contains(t, out.String(), "led by (none)")
	require.Equal(t, "not possible: no reason given", Failover(wire.FailoverView{}))
}

func TestStatusTellsThatReadsAreSpread(t *testing.T) {
	c := sample()
	c.Settings.Reads = protocol.ReadsSpread
	var out strings.Builder
	require.NoError(t, Status(&out, c))
	require.Contains(t, out.String(), "\n\nreads through a monitor are answered by every replica in sync, in turn\n\nNODE ")
}

func TestStatusTellsWhereViewsDiffer(t *testing.T) {
	c := sample()
	c.Nodes[0].Sees = map[string]string{"app2": wire.SeesDown, "app3": wire.SeesUp}
	c.Nodes[1].Removed, c.Nodes[1].Disk.Full = true, true
	c.Nodes[0].State, c.Nodes[0].Maintenance = protocol.StateMaintenance, true
	c.Nodes[2].State = protocol.StateUnreachable
	var out strings.Builder
	require.NoError(t, Status(&out, c))
	require.Contains(t, out.String(), "catching-up (maintenance) (removed) (disk full)")
	require.NotContains(t, out.String(), "maintenance (maintenance)")
	require.Contains(t, out.String(), `
VIEWS THAT DIFFER
app1 does not reach app2, and the monitor does
app1 reaches app3, and the monitor does not

MONITOR`)
}

func TestHistory(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC)
	var out strings.Builder
	require.NoError(t, History(&out, wire.History{Events: []protocol.HistoryEvent{
		{At: at, Kind: "joined", Node: "app1", Detail: "app1\tjoined\nhere"},
		{At: at, Kind: "failover", Epoch: 2, Node: "app2", Detail: "app2 took over", TimelineMS: map[string]float64{"serving": 180.4, "down": 150, "promoted": 152}},
	}}))
	require.Equal(t, `TIME                      KIND      EPOCH  NODE  DETAIL
2026-03-04 05:06:07.089Z  joined    -      app1  app1 joined here
2026-03-04 05:06:07.089Z  failover  2      app2  app2 took over (down 150 ms, promoted 152 ms, serving 180 ms)
`, out.String())
}

func TestWriteErrorsAreReported(t *testing.T) {
	require.ErrorIs(t, Status(fullDisk{}, sample()), errFull)
	require.ErrorIs(t, History(fullDisk{}, wire.History{}), errFull)
	require.ErrorIs(t, JSON(fullDisk{}, 1), errFull)
}

var errFull = errors.New("no space left on device")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestExplain(t *testing.T) {
	var out strings.Builder
	require.NoError(t, Explain(&out, wire.Explain{Paused: true, Groups: []wire.Explanation{{
		Primary: "app1", Rule: "steady", When: "the primary is heard", Does: "nothing",
		IfPrimaryDied: wire.IfPrimaryDied{Candidate: "app2", Loss: "nothing: app2 holds every acknowledged write", CrashedMS: 60, SilentMS: 550},
		Nodes:         []wire.NodeProspect{{Name: "app1", InSync: true, Why: "it is the primary"}, {Name: "app2", InSync: true, CanBePromoted: true}},
	}}}))
	require.Equal(t, `automatic failover is paused: -resume ends that
group 0: primary app1; rule steady: the primary is heard, so: nothing

if app1 died now:
  app2 would be promoted within 60 ms of a crash, within 550 ms of a silence
  lost: nothing: app2 holds every acknowledged write

NODE  IN SYNC  CAN BE PROMOTED  WHY NOT
app1  yes      no               it is the primary
app2  yes      yes              -
`, out.String())
}

func TestExplainBeforeThereIsAGroup(t *testing.T) {
	var out strings.Builder
	require.NoError(t, Explain(&out, wire.Explain{}))
	require.Contains(t, out.String(), "there is no group yet")
	require.Contains(t, out.String(), "-status shows who is, and who is refused")
}

func TestExplainNamesWhoIsAwaited(t *testing.T) {
	var out strings.Builder
	require.NoError(t, Explain(&out, wire.Explain{Groups: []wire.Explanation{{
		Primary: "app1", IfPrimaryDied: wire.IfPrimaryDied{Reason: "app2 is down: start it again", Loss: "nothing as long as app1 returns"},
	}}}))
	require.Contains(t, out.String(), "  nobody would take over: app2 is down: start it again\n")
}
