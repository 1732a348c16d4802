package httpapi

import (
	"encoding/json"
	"net/http"
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// self is the answer of GET /status: what the node tells its monitors, where it
// sends writes, and what it sees of the others.
type self struct {
	wire.Heartbeat
	PrimaryAddress string      `json:"primary_address"`
	Peers          []wire.Peer `json:"peers"`
}

func (a *api) status(w http.ResponseWriter, r *http.Request) {
	text, err := json.MarshalIndent(self{a.Replica.Status(), a.Replica.PrimaryAddress(), a.Replica.Peers()}, "", "  ")
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

// freeze has the process stand still for a while, as if it hung.
func (a *api) freeze(w http.ResponseWriter, r *http.Request) {
	var order wire.Freeze
	err := a.checkOrigin(r)
	if err == nil && !a.AllowKill {
		err = problem.Errorf(problem.Forbidden, "%s may not be frozen over HTTP: start it with -allow-kill", a.Name)
	}
	if err == nil {
		order, err = readFreeze(w, r)
	}
	if err == nil {
		err = a.Freeze(time.Duration(order.For))
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.Log.Warn().Str("client", r.RemoteAddr).Dur("for_ms", time.Duration(order.For)).Msg("frozen on request")
	a.sendJSON(w, r, http.StatusAccepted, wire.Freeze{Node: a.Name, For: order.For})
}

// maxFreeze bounds for how long a process may be frozen.
const maxFreeze = time.Minute

func readFreeze(w http.ResponseWriter, r *http.Request) (order wire.Freeze, err error) {
	body, err := readBody(w, r, 1<<10)
	if err != nil {
		return order, err
	}
	if err := json.Unmarshal(body, &order); err != nil {
		return order, problem.Errorf(problem.BadRequest, "the body is not {\"for\": \"5s\"}: %v", err)
	}
	if d := time.Duration(order.For); d <= 0 || d > maxFreeze {
		return order, problem.Errorf(problem.BadRequest, "for is %s: it is above 0s and at most %s", order.For, maxFreeze)
	}
	return order, nil
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
