package httpapi

import (
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// maxStill bounds how long the process stands still.
const maxStill = time.Minute

// atLeader routes what only the leader decides.
func (a *API) atLeader(r chi.Router) {
	if a.peers != nil {
		r.Use(a.peers.AtLeader)
		r.Post(wire.PathMonitor, a.join)
		r.Post(wire.PathMonitors, a.addMonitor)
		r.Delete(wire.PathMonitors+"/{name}", a.removeMonitor)
	}
	r.Post(wire.PathGroup, a.propose)
	r.Post("/v1/switchover", a.switchover)
	r.Post("/v1/failover", a.failover)
	r.Patch("/v1/config", a.configure)
	r.Get(wire.PathAdopt, a.witnesses)
	r.Post(wire.PathAdopt, a.adopt)
	r.Put("/v1/nodes/{name}/maintenance", a.maintenance)
	r.Delete("/v1/nodes/{name}", a.remove)
}

// self answers another monitor's question who this one is.
func (a *API) self(w http.ResponseWriter, r *http.Request) { a.answer(w, r, a.peers.Self()) }

// join takes in a monitor that asks for it.
func (a *API) join(w http.ResponseWriter, r *http.Request) {
	var who wire.MonitorSelf
	data, err := readMessage(w, r)
	if err == nil {
		err = decode(data, &who, &who.V)
	}
	if err == nil {
		err = a.peers.Join(r.Context(), who)
	}
	a.done(w, r, a.peers.Self(), err)
}

// standStill has this process play dead for a while.
func (a *API) standStill(w http.ResponseWriter, r *http.Request) {
	o, err := readOrder[wire.Freeze](w, r)
	switch {
	case err != nil:
	case a.still == nil:
		err = problem.Errorf(problem.Forbidden, "this monitor may not be frozen: it was started without -allow-kill")
	case o.For <= 0 || time.Duration(o.For) > maxStill:
		err = problem.Errorf(problem.BadRequest, "a process is frozen for up to %s, not for %s", maxStill, time.Duration(o.For))
	default:
		err = a.still(time.Duration(o.For))
	}
	if a.peers != nil {
		o.Node = a.peers.Self().Name
	}
	a.done(w, r, o, err)
}

func (a *API) addMonitor(w http.ResponseWriter, r *http.Request) {
	o, err := readOrder[wire.MonitorOrder](w, r)
	if err == nil {
		err = a.peers.Add(r.Context(), o)
	}
	if err == nil {
		a.log.Warn().Str("name", o.Name).Str("address", o.Address).Str("by", r.RemoteAddr).Msg("monitor added by an operator")
	}
	a.done(w, r, wire.Monitors{Monitors: a.coordinator.Cluster().Monitors}, err)
}

// removeMonitor takes a monitor out. Had it this one itself taken out, it may not have
// heard so yet.
func (a *API) removeMonitor(w http.ResponseWriter, r *http.Request) {
	name, err := nodeName(r)
	if err == nil {
		err = a.peers.Remove(r.Context(), name)
	}
	if err == nil {
		a.log.Warn().Str("name", name).Str("by", r.RemoteAddr).Msg("monitor removed by an operator")
	}
	left := slices.DeleteFunc(a.coordinator.Cluster().Monitors, func(m wire.MonitorView) bool { return m.Name == name })
	a.done(w, r, wire.Monitors{Monitors: left}, err)
}
