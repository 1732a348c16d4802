// Package httpapi is the monitor's HTTP interface: the client API, which it
// hands to the proxy, the nodes' heartbeats and proposals, and what people and
// their tools ask about the cluster.
package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/rs/zerolog"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// Coordinator is what the interface needs of the monitor. All methods may be
// called at the same time.
type Coordinator interface {
	// Heartbeat takes a heartbeat and returns the node's assignment. It never
	// waits for a disk. Conn stands for the connection that it came on.
	Heartbeat(conn any, hb *wire.Heartbeat) (*wire.Assignment, error)
	// Propose has the registry judge a primary's proposal.
	Propose(ctx context.Context, p *wire.Proposal) (wire.ProposalAnswer, error)
	// Cluster and History describe the present and the past.
	Cluster() wire.Cluster
	History() wire.History
	// News returns who the primary is, the history, oldest event first, and a
	// channel that is closed as soon as either is another; nil: the monitor judges
	// no more. What it returns must not be changed.
	News() (wire.PrimaryEvent, []protocol.HistoryEvent, <-chan struct{})
	// Explain says who could take over, and if nobody, why.
	Explain() (wire.Explain, error)
	// Switchover changes the primary with its help, and Failover without; by says
	// who asked.
	Switchover(ctx context.Context, o wire.ChangeOrder, by string) (wire.PrimaryChanged, error)
	Failover(ctx context.Context, o wire.ChangeOrder, by string) (wire.PrimaryChanged, error)
	// SetMaintenance takes a node out of the in-sync sets, or ends that.
	SetMaintenance(ctx context.Context, name string, on bool) (wire.Maintenance, error)
	// Configure changes the settings that a JSON merge patch names.
	Configure(ctx context.Context, patch []byte) (protocol.Settings, error)
	// Kill asks a node to end its process at once, Freeze to stand still.
	Kill(ctx context.Context, name string) error
	Freeze(ctx context.Context, name string, d time.Duration) (wire.Freeze, error)
	// Ready returns why the monitor cannot do its work now, or nil.
	Ready() error
}

// Options are what [New] needs.
type Options struct {
	Coordinator Coordinator
	Proxy       http.Handler // the client API
	Metrics     http.Handler
	// ConnClosed is told of each closed connection that carried a heartbeat, by
	// the same value that Heartbeat was called with. It must not block. Nil:
	// nobody is told.
	ConnClosed func(conn any)
	Log        zerolog.Logger
}

// API is the monitor's HTTP interface. A server is to use it as its handler and
// its ConnContext and ConnState as the functions of the same names.
type API struct {
	coordinator Coordinator
	log         zerolog.Logger
	closed      func(conn any)
	router      http.Handler
	conns
}

// New makes the interface.
func New(o Options) *API {
	a := &API{coordinator: o.Coordinator, log: o.Log, closed: o.ConnClosed}
	a.router = a.routes(o.Proxy, o.Metrics)
	return a
}

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.router.ServeHTTP(w, r) }

func (a *API) routes(proxy, metrics http.Handler) http.Handler {
	r := chi.NewRouter()
	r.NotFound(notFound)
	r.MethodNotAllowed(methodNotAllowed)
	r.Use(refuseForeign, middleware.GetHead)

	r.Handle("/v1/state", proxy)
	r.Handle("/v1/kv", proxy)
	r.Handle("/v1/kv/*", proxy)
	r.Handle(wire.PathWatch, proxy)

	r.Post(wire.PathHeartbeat, a.heartbeat)
	r.Post(wire.PathGroup, a.propose)

	r.Get("/v1/cluster", a.cluster)
	r.Get("/v1/history", a.history)
	r.Get(wire.PathEvents, a.events)
	r.Get("/v1/explain", a.explain)
	r.Post("/v1/switchover", a.switchover)
	r.Post("/v1/failover", a.failover)
	r.Patch("/v1/config", a.configure)
	r.Put("/v1/nodes/{name}/maintenance", a.maintenance)
	r.Post("/v1/nodes/{name}/kill", a.kill)
	r.Post("/v1/nodes/{name}/freeze", a.freeze)

	r.Get("/livez", live)
	r.Get("/readyz", a.ready)
	r.Method(http.MethodGet, "/metrics", metrics)
	r.Get("/", index)
	return r
}

// refuseForeign refuses what a page of another site has a browser send.
func refuseForeign(next http.Handler) http.Handler {
	c := http.NewCrossOriginProtection()
	c.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, problem.Errorf(problem.Forbidden, "a page of another site (%s) may not change anything here", origin(r)))
	}))
	return c.Handler(next)
}

func origin(r *http.Request) string {
	if o := r.Header.Get("Origin"); o != "" {
		return o
	}
	return "unnamed"
}
