package httpapi

import (
	"net/http"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// health is the body of the health endpoints, which follow the convention of
// Patroni: the status tells a load balancer whether to send requests here.
type health struct {
	Name     string            `json:"name"`
	State    protocol.State    `json:"state"`
	Role     protocol.Role     `json:"role"`
	Serving  bool              `json:"serving"`
	Position protocol.Position `json:"position"`
	Disk     string            `json:"disk,omitempty"` // why the disk was given up
}

// groupOf returns the replica that the node answers for.
func groupOf(hb wire.Heartbeat) wire.GroupStatus {
	if len(hb.Groups) == 0 {
		return wire.GroupStatus{Role: protocol.RoleNone, State: hb.State}
	}
	return hb.Groups[0]
}

func isPrimary(hb wire.Heartbeat) bool {
	g := groupOf(hb)
	return g.Role == protocol.RolePrimary && g.Serving
}

// isStandby holds for a standby in sync, which streams; one that is catching up
// has another state.
func isStandby(hb wire.Heartbeat) bool {
	g := groupOf(hb)
	return g.Role == protocol.RoleStandby && g.State == protocol.StateStandby
}

func isServing(hb wire.Heartbeat) bool { return isPrimary(hb) || isStandby(hb) }

// isReady holds while the node can do all of its role.
func isReady(hb wire.Heartbeat) bool { return isServing(hb) && hb.Disk.Failed == "" }

// health answers 200 if the node is as ok says, else 503, with its state.
func (a *api) health(ok func(wire.Heartbeat) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		hb := a.Replica.Status()
		g := groupOf(hb)
		status := http.StatusServiceUnavailable
		if ok(hb) {
			status = http.StatusOK
		}
		a.sendJSON(w, r, status, health{
			Name: a.Name, State: hb.State, Role: g.Role, Serving: g.Serving, Position: g.Position, Disk: hb.Disk.Failed,
		})
	}
}

// livez answers 200 while all of the node's loops run.
func (a *api) livez(w http.ResponseWriter, r *http.Request) {
	status, answer := http.StatusOK, map[string]string{"name": a.Name}
	if err := a.Alive(); err != nil {
		status, answer["reason"] = http.StatusServiceUnavailable, err.Error()
	}
	a.sendJSON(w, r, status, answer)
}
