package httpapi

import (
	"encoding/json"
	"net/http"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// self is the answer of GET /status: what the node tells its monitors, and
// where it sends writes.
type self struct {
	wire.Heartbeat
	PrimaryAddress string `json:"primary_address"`
}

func (a *api) status(w http.ResponseWriter, r *http.Request) {
	text, err := json.MarshalIndent(self{a.Replica.Status(), a.Replica.PrimaryAddress()}, "", "  ")
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.sendText(w, http.StatusOK, append(text, '\n'))
}

// heartbeat answers a monitor's probe.
func (a *api) heartbeat(w http.ResponseWriter, r *http.Request) {
	a.sendJSON(w, r, http.StatusOK, a.Replica.Status())
}

// kill answers, then ends the process at once.
func (a *api) kill(w http.ResponseWriter, r *http.Request) {
	if err := a.checkOrigin(r); err != nil {
		a.fail(w, r, err)
		return
	}
	if !a.AllowKill {
		a.fail(w, r, problem.Errorf(problem.Forbidden, "%s may not be killed over HTTP: start it with -allow-kill", a.Name))
		return
	}
	a.sendJSON(w, r, http.StatusAccepted, wire.Killed{Node: a.Name})
	if err := http.NewResponseController(w).Flush(); err != nil {
		a.Log.Debug().Err(err).Msg("client went away")
	}
	a.Log.Warn().Str("client", r.RemoteAddr).Msg("killed on request")
	a.Kill()
}
