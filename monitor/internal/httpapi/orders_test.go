package httpapi

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

func answerOf[T any](t *testing.T, a *API, method, path, body string) (v T) {
	t.Helper()
	w := ask(t, a, method, path, body)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
	return v
}

func TestOrders(t *testing.T) {
	c := new(coordinator)
	a := newAPI(c)
	changed := answerOf[wire.PrimaryChanged](t, a, "POST", "/v1/switchover", "")
	require.Equal(t, "switchover", changed.Kind)
	require.Equal(t, wire.ChangeOrder{}, c.orders[0], "an empty body asks for the best candidate")
	changed = answerOf[wire.PrimaryChanged](t, a, "POST", "/v1/switchover", `{"to":"app2"}`)
	require.Equal(t, "app2", changed.To)
	forced := `{"to":"app2","force":true,"reason":"app1 is lost","primary_is_stopped":true}`
	answerOf[wire.PrimaryChanged](t, a, "POST", "/v1/failover", forced)
	require.Equal(t, wire.ChangeOrder{To: "app2", Force: true, Reason: "app1 is lost", PrimaryIsStopped: true}, c.orders[2])

	require.Equal(t, wire.Maintenance{Node: "app2", On: true}, answerOf[wire.Maintenance](t, a, "PUT", "/v1/nodes/app2/maintenance", `{"on":true}`))
	require.Equal(t, wire.Removed{Node: "app 2", Why: "it was"}, answerOf[wire.Removed](t, a, "DELETE", "/v1/nodes/app%202", ""))
	require.Equal(t, wire.Freeze{Node: "app2", For: protocol.Duration(5 * time.Second)}, answerOf[wire.Freeze](t, a, "POST", "/v1/nodes/app2/freeze", `{"for":"5s"}`))
	require.Equal(t, "c0", answerOf[wire.Adopted](t, a, "POST", "/v1/adopt", `{"node":"app1","reason":"lost","force":true}`).Cluster)
	require.Equal(t, []wire.AdoptOrder{{Node: "app1", Reason: "lost", Force: true}}, c.adopted)
	require.Equal(t, "app1", answerOf[wire.Witnesses](t, a, "GET", "/v1/adopt", "").Heard[0].Name)
	require.True(t, answerOf[protocol.Settings](t, a, "PATCH", "/v1/config", `{"paused":true}`).Paused)
}

func TestOrdersThatMakeNoSense(t *testing.T) {
	for _, c := range []struct{ method, path, body, why string }{
		{"POST", "/v1/switchover", `{"two":"app2"}`, "two"},
		{"POST", "/v1/switchover", `{"to":"app2"} x`, "not valid"},
		{"POST", "/v1/switchover", `{"force":true}`, "cannot be forced"},
		{"POST", "/v1/failover", `{"force":true,"to":"app2"}`, "the reason"},
		{"POST", "/v1/failover", `{"force":true,"reason":"r"}`, "names the node"},
		{"POST", "/v1/failover", `{"primary_is_stopped":true}`, "forced failover"},
		{"PUT", "/v1/nodes/app2/maintenance", `on`, "not valid"},
		{"POST", "/v1/adopt", `{"node":"app1"}`, "the reason"},
		{"POST", "/v1/adopt", `{"reason":"r"}`, "names the next primary"},
		{"POST", "/v1/adopt", `{"node":"app1","reason":"r","primary_is_stopped":true}`, "primary_is_stopped"},
		{"POST", "/v1/nodes/app2/freeze", `{"for":"long"}`, "300ms"},
	} {
		k := new(coordinator)
		requireProblem(t, ask(t, newAPI(k), c.method, c.path, c.body), 400, problem.BadRequest, c.why)
		require.Empty(t, k.orders)
		require.Empty(t, k.adopted)
	}
}
