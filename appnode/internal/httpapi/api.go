// Package httpapi is the HTTP interface of a node: the client API, the health
// endpoints for load balancers, and the node's word on itself.
//
// The path of a read is kept thin: no middleware, no logging and few
// allocations, so that a node answers nearly as many reads as its HTTP server
// can.
package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// Replica is the node's copy of a group. All methods may be called at the same
// time. Read and Write bound their own waiting; their errors for clients are
// [problem.Error] values.
type Replica interface {
	// Read returns the state to answer from, at the level asked for. at is the
	// least position wanted by a session read; other levels ignore it. A stale
	// read does not wait. The codes not_primary and fenced send the client to
	// PrimaryAddress.
	Read(ctx context.Context, level store.Level, at protocol.Position) (*store.View, error)
	// Write judges, replicates and commits the request, and returns when the
	// effects are durable on every in-sync replica. The codes not_primary and
	// fenced promise that nothing was or will be applied, since the client is
	// sent to PrimaryAddress with the same request; if that is not known the
	// code is outcome_unknown.
	Write(ctx context.Context, req *store.Request) (store.Outcome, error)
	// Watch follows what is committed after since, as far as it touches keys that
	// begin with prefix. It waits until the replica has reached since.
	Watch(ctx context.Context, since protocol.Position, prefix string) (Watcher, error)
	// Status returns the node's word on itself and never blocks.
	Status() wire.Heartbeat
	// Peers returns what the node sees of the others.
	Peers() []wire.Peer
	// PrimaryAddress returns the host:port of the primary, "" if none is known.
	PrimaryAddress() string
}

// Options are what the interface of a node is made of. All but Metrics are
// required.
type Options struct {
	Replica   Replica
	Name      string // of the node
	AllowKill bool   // answer POST /v1/kill and /v1/freeze
	Kill      func() // ends the process at once, as a crash would
	// Freeze has the process stand still for a while, soon after it returned.
	Freeze  func(time.Duration) error
	Alive   func() error // says which of the node's loops does not run
	Metrics http.Handler // of GET /metrics; nil: there is none
	Log     zerolog.Logger
}

// API is a node's HTTP interface.
type API struct {
	// Router has all of it. The daemon adds the internal paths.
	Router *chi.Mux
	api    *api
}

// ServeHTTP implements [http.Handler]. Requests for one key, nearly all that
// come, do not pass through the router, which would take longer than answering
// them.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawPath == "" && strings.HasPrefix(r.URL.Path, keyPath) {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			a.api.getKey(w, r)
			return
		case http.MethodPut:
			a.api.putKey(w, r)
			return
		case http.MethodDelete:
			a.api.deleteKey(w, r)
			return
		}
	}
	a.Router.ServeHTTP(w, r)
}

// New returns a node's HTTP interface.
func New(o Options) *API {
	a := &api{
		Options: o,
		router:  chi.NewRouter(),
		node:    []string{o.Name},
		origin:  http.NewCrossOriginProtection(),
	}
	a.router.NotFound(a.notFound)
	a.router.MethodNotAllowed(a.methodNotAllowed)
	a.routeClient()
	a.routeHealth()
	return &API{Router: a.router, api: a}
}

// api serves the interface.
type api struct {
	Options
	router *chi.Mux
	node   []string // value of the header that names the node, shared by all answers
	origin *http.CrossOriginProtection
}

func (a *api) routeClient() {
	a.get("/v1/state", a.getState)
	a.router.Patch("/v1/state", a.patchState)
	a.get("/v1/kv", a.list)
	a.get(wire.PathWatch, a.watch)
	a.get(keyPath+"*", a.getKey)
	a.router.Put(keyPath+"*", a.putKey)
	a.router.Delete(keyPath+"*", a.deleteKey)
}

func (a *api) routeHealth() {
	a.get("/", a.status)
	a.get("/status", a.status)
	a.get(wire.PathProbe, a.heartbeat)
	a.get("/primary", a.health(isPrimary))
	a.get("/replica", a.health(isStandby))
	a.get("/standby", a.health(isStandby))
	a.get("/read-only", a.health(isServing))
	a.get("/health", a.health(isServing))
	a.get("/readyz", a.health(isReady))
	a.get("/livez", a.livez)
	a.router.Post("/v1/kill", a.kill)
	a.router.Post("/v1/freeze", a.freeze)
	if a.Metrics != nil {
		a.router.Method(http.MethodGet, "/metrics", a.Metrics)
	}
}

// get routes GET and HEAD to h.
func (a *api) get(path string, h http.HandlerFunc) {
	a.router.Get(path, h)
	a.router.Head(path, h)
}
