package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

func (a *API) switchover(w http.ResponseWriter, r *http.Request) {
	o, err := readOrder[wire.ChangeOrder](w, r)
	if err == nil && (o.Force || o.PrimaryIsStopped) {
		err = problem.Errorf(problem.BadRequest, "a switchover has the primary's help, and cannot be forced: that is for /v1/failover")
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	changed, err := a.coordinator.Switchover(r.Context(), o, r.RemoteAddr)
	a.done(w, r, changed, err)
}

func (a *API) failover(w http.ResponseWriter, r *http.Request) {
	o, err := readOrder[wire.ChangeOrder](w, r)
	switch {
	case err != nil:
	case o.Force && (o.To == "" || o.Reason == ""):
		err = problem.Errorf(problem.BadRequest, "a forced failover names the node in to, and the reason, which is kept in the history")
	case o.PrimaryIsStopped && !o.Force:
		err = problem.Errorf(problem.BadRequest, "primary_is_stopped is for a forced failover")
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	changed, err := a.coordinator.Failover(r.Context(), o, r.RemoteAddr)
	a.done(w, r, changed, err)
}

func (a *API) maintenance(w http.ResponseWriter, r *http.Request) {
	name, err := nodeName(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	o, err := readOrder[wire.Maintenance](w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	set, err := a.coordinator.SetMaintenance(r.Context(), name, o.On)
	a.done(w, r, set, err)
}

func (a *API) remove(w http.ResponseWriter, r *http.Request) {
	name, err := nodeName(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	removed, err := a.coordinator.Remove(r.Context(), name, r.RemoteAddr)
	a.done(w, r, removed, err)
}

func (a *API) freeze(w http.ResponseWriter, r *http.Request) {
	name, err := nodeName(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	o, err := readOrder[wire.Freeze](w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	frozen, err := a.coordinator.Freeze(r.Context(), name, time.Duration(o.For))
	a.done(w, r, frozen, err)
}

func (a *API) configure(w http.ResponseWriter, r *http.Request) {
	patch, err := readMessage(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	var settings protocol.Settings
	if settings, err = a.coordinator.Configure(r.Context(), patch); err == nil {
		a.log.Warn().Str("by", r.RemoteAddr).Interface("settings", settings).Msg("settings changed by an operator")
	}
	a.done(w, r, settings, err)
}

// done answers with what came of an order.
func (a *API) done(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.answer(w, r, v)
}

// readOrder reads an operator's order. An empty body is the order without
// anything particular; a field that is not known is refused, for it might have
// been meant to restrict it.
func readOrder[T any](w http.ResponseWriter, r *http.Request) (order T, err error) {
	data, err := readMessage(w, r)
	if err != nil || len(bytes.TrimSpace(data)) == 0 {
		return order, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err = dec.Decode(&order); err == nil && !dec.More() {
		return order, nil
	}
	return order, problem.Errorf(problem.BadRequest, "the order is not valid JSON of the known fields: %v", err)
}
