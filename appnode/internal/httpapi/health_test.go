package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

func TestHealth(t *testing.T) {
	all := []string{"/primary", "/replica", "/standby", "/read-only", "/health", "/readyz"}
	primary := []string{"/primary", "/read-only", "/health", "/readyz"}
	standby := []string{"/replica", "/standby", "/read-only", "/health", "/readyz"}
	for name, tc := range map[string]struct {
		group wire.GroupStatus
		disk  wire.Disk
		ok    []string
	}{
		"primary":          {wire.GroupStatus{Role: protocol.RolePrimary, State: protocol.StatePrimary, Serving: true}, wire.Disk{}, primary},
		"primary alone":    {wire.GroupStatus{Role: protocol.RolePrimary, State: protocol.StatePrimaryAlone, Serving: true}, wire.Disk{}, primary},
		"not yet serving":  {wire.GroupStatus{Role: protocol.RolePrimary, State: protocol.StatePrimary}, wire.Disk{}, nil},
		"full disk":        {wire.GroupStatus{Role: protocol.RolePrimary, State: protocol.StatePrimary, Serving: true}, wire.Disk{Full: true}, primary},
		"failed disk":      {wire.GroupStatus{Role: protocol.RolePrimary, State: protocol.StatePrimary, Serving: true}, wire.Disk{Failed: "EIO"}, primary[:3]},
		"standby":          {wire.GroupStatus{Role: protocol.RoleStandby, State: protocol.StateStandby}, wire.Disk{}, standby},
		"catching up":      {wire.GroupStatus{Role: protocol.RoleStandby, State: protocol.StateCatchingUp}, wire.Disk{}, nil},
		"fenced":           {wire.GroupStatus{Role: protocol.RoleStandby, State: protocol.StateFenced}, wire.Disk{}, nil},
		"corrupt":          {wire.GroupStatus{Role: protocol.RoleNone, State: protocol.StateCorrupt}, wire.Disk{}, nil},
		"standby by state": {wire.GroupStatus{Role: protocol.RoleNone, State: protocol.StateStandby}, wire.Disk{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.heartbeat.State, n.heartbeat.Disk = tc.group.State, tc.disk
			n.heartbeat.Groups = []wire.GroupStatus{tc.group}
			for _, path := range all {
				want := http.StatusServiceUnavailable
				if slices.Contains(tc.ok, path) {
					want = http.StatusOK
				}
				for _, method := range []string{"GET", "HEAD"} {
					w := n.do(method, path, "")
					require.Equal(t, want, w.Code, path)
					require.Equal(t, "application/json", w.Header().Get("Content-Type"))
				}
				var body struct{ Name, State, Role string }
				require.NoError(t, json.Unmarshal(n.do("GET", path, "").Body.Bytes(), &body))
				require.Equal(t, "app1", body.Name)
				require.Equal(t, string(tc.group.State), body.State)
				require.Equal(t, string(tc.group.Role), body.Role)
			}
		})
	}
}

func TestHealthWithoutGroups(t *testing.T) {
	n := newNode(t)
	n.heartbeat.State, n.heartbeat.Groups = protocol.StateStarting, nil
	w := n.do("GET", "/health", "")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.JSONEq(t, `{"name": "app1", "state": "starting", "role": "none", "serving": false, "position": "0.0"}`, w.Body.String())
}

func TestLivez(t *testing.T) {
	n := newNode(t)
	require.Equal(t, http.StatusOK, n.do("GET", "/livez", "").Code)
	require.Equal(t, http.StatusOK, n.do("HEAD", "/livez", "").Code)
	n.alive = errors.New("the write loop has not turned for 5s")
	w := n.do("GET", "/livez", "")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.JSONEq(t, `{"name": "app1", "reason": "the write loop has not turned for 5s"}`, w.Body.String())
}

func TestHeartbeatAndStatus(t *testing.T) {
	n := newNode(t)
	n.peers = []wire.Peer{{Name: "app2", Sees: wire.SeesUp, AgeMS: 40}}
	var got wire.Heartbeat
	w := n.do("GET", wire.PathProbe, "")
	require.Equal(t, http.StatusOK, w.Code)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Equal(t, n.heartbeat, got)
	for _, path := range []string{"/", "/status"} {
		var body struct {
			wire.Heartbeat
			Primary string      `json:"primary_address"`
			Peers   []wire.Peer `json:"peers"`
		}
		w := n.do("GET", path, "")
		require.Equal(t, http.StatusOK, w.Code)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
		require.Equal(t, n.heartbeat, body.Heartbeat)
		require.Equal(t, "10.0.0.1:8081", body.Primary)
		require.Equal(t, n.peers, body.Peers)
	}
}

func TestKill(t *testing.T) {
	n := newNode(t)
	w := n.do("POST", "/v1/kill", "")
	require.Equal(t, http.StatusAccepted, w.Code)
	require.JSONEq(t, `{"node": "app1"}`, w.Body.String())
	require.True(t, w.Flushed)
	require.True(t, n.killed)

	n = newNode(t)
	n.opts.AllowKill = false
	n.router = New(n.opts)
	refused(t, n.do("POST", "/v1/kill", ""), http.StatusForbidden, problem.Forbidden, "start it with -allow-kill")
	require.False(t, n.killed)
}
