package command

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

func TestOrders(t *testing.T) {
	f := newFake(t)
	changed := wire.PrimaryChanged{Kind: "switchover", From: "app1", To: "app2", Epoch: 4, TimelineMS: map[string]float64{"sealed": 2, "serving": 12.4}}
	f.on("POST /v1/switchover", changed)
	f.on("POST /v1/failover", wire.PrimaryChanged{Kind: "override", From: "app1", To: "app2", Epoch: 4, Loss: "at least 2 records"})
	f.on("PUT /v1/nodes/app2/maintenance", wire.Maintenance{Node: "app2", On: true})
	f.on("PATCH /v1/config", protocol.Settings{Paused: true})
	f.on("POST /v1/nodes/app2/freeze", wire.Freeze{Node: "app2", For: protocol.Duration(2 * time.Second)})
	f.on("DELETE /v1/nodes/app3", wire.Removed{Node: "app3", Why: "app4 takes its place"})
	monitors := wire.Monitors{Monitors: []wire.MonitorView{{Name: "m1"}, {Name: "m4"}}}
	f.on("POST /v1/monitors", monitors)
	f.on("DELETE /v1/monitors/m2", monitors)
	for _, c := range []struct {
		args []string
		sent string
		out  string
	}{
		{[]string{"-add-monitor", "m4=127.0.0.1:8110"}, `POST /v1/monitors {"name":"m4","address":"127.0.0.1:8110"}`, "the monitors are m1, m4\n"},
		{[]string{"-remove-monitor", "m2"}, `DELETE /v1/monitors/m2`, "the monitors are m1, m4\n"},
		{[]string{"-switchover"}, `POST /v1/switchover {}`, "app2 took over from app1 in epoch 4 (switchover) (sealed 2 ms, serving 12 ms)\n"},
		{[]string{"-switchover", "-to", "app2"}, `POST /v1/switchover {"to":"app2"}`, "app2 took over from app1 in epoch 4 (switchover) (sealed 2 ms, serving 12 ms)\n"},
		{
			[]string{"-failover", "-to", "app2", "-force", "-reason", "app1 burnt", "-primary-is-stopped"},
			`POST /v1/failover {"to":"app2","reason":"app1 burnt","force":true,"primary_is_stopped":true}`,
			"app2 took over from app1 in epoch 4 (override)\nlost: at least 2 records\n",
		},
		{[]string{"-maintenance", "app2=on"}, `PUT /v1/nodes/app2/maintenance {"on":true}`, "app2 is in maintenance: it holds no copy that counts until -maintenance app2=off\n"},
		{[]string{"-remove", "app3"}, "DELETE /v1/nodes/app3", "app3 is removed: app4 takes its place\n"},
		{[]string{"-pause"}, `PATCH /v1/config {"paused":true}`, "automatic failover is paused: nobody takes over from a dead primary until -resume\n"},
		{[]string{"-freeze", "app2", "-for", "2s"}, `POST /v1/nodes/app2/freeze {"for":"2s"}`, "app2 stands still for 2s\n"},
	} {
		r := f.run(t, c.args...)
		require.Zero(t, r.code, r.errors)
		require.Equal(t, c.out, r.out)
		seen := f.requests()
		require.Equal(t, c.sent, seen[len(seen)-1])
	}
}

func TestARefusedOrder(t *testing.T) {
	f := newFake(t)
	f.on("POST /v1/switchover", problem.Errorf(problem.StaleVersion, "another change is under way"))
	r := f.run(t, "-switchover")
	require.Equal(t, problem.ExitRefused, r.code)
	require.Equal(t, "client: another change is under way\n", r.errors)
}

func TestOrdersThatSayTooLittleOrTooMuch(t *testing.T) {
	f := newFake(t)
	for _, c := range []struct {
		args []string
		why  string
	}{
		{[]string{"-status", "-to", "app2"}, "-to belongs to -switchover and -failover"},
		{[]string{"-switchover", "-force"}, "-force belongs to -failover and -adopt"},
		{[]string{"-failover", "-force", "-to", "app2"}, "-reason TEXT"},
		{[]string{"-failover", "-force", "-reason", "r"}, "-to NAME"},
		{[]string{"-failover", "-primary-is-stopped"}, "-force"},
		{[]string{"-adopt", "app1"}, "-reason TEXT"},
		{[]string{"-adopt", "", "-reason", "lost"}, "the name of a node"},
		{[]string{"-adopt", "app1", "-reason", "lost", "-to", "app2"}, "-to belongs to -switchover and -failover"},
		{[]string{"-maintenance", "app2"}, "NAME=on or NAME=off"},
		{[]string{"-add-monitor", "m4"}, "NAME=host:port"},
		{[]string{"-add-monitor", "m4=8110"}, "NAME=host:port"},
		{[]string{"-freeze", "app2", "-for", "-1s"}, "-for -1s"},
		{[]string{"-kill", "app2", "-for", "1s"}, "-for belongs to -freeze"},
	} {
		r := f.run(t, c.args...)
		require.Equal(t, problem.ExitUsage, r.code, c.args)
		require.Contains(t, r.errors, c.why)
	}
	require.Empty(t, f.requests())
}
