// Package httpapi is the monitor's HTTP interface: the client API, which it
// hands to the proxy, the nodes' heartbeats and proposals, and what people and
// their tools ask about the cluster.
package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/rs/zerolog"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/pulse"
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
	// Remove has a node leave the cluster for good; by says who asked.
	Remove(ctx context.Context, name, by string) (wire.Removed, error)
	// Adopt has a lost registry rebuilt from the nodes, of which Witnesses lists what
	// they said.
	Adopt(ctx context.Context, o wire.AdoptOrder, by string) (wire.Adopted, error)
	Witnesses() (wire.Witnesses, error)
	// Configure changes the settings that a JSON merge patch names.
	Configure(ctx context.Context, patch []byte) (protocol.Settings, error)
	// Kill asks a node to end its process at once, Freeze to stand still.
	Kill(ctx context.Context, name string) error
	Freeze(ctx context.Context, name string, d time.Duration) (wire.Freeze, error)
	// Ready returns why the monitor cannot do its work now, or nil.
	Ready() error
}

// Peers is what the interface needs of the other monitors. All methods may be
// called at the same time.
type Peers interface {
	// AtLeader has next answer at the leader.
	AtLeader(next http.Handler) http.Handler
	// Self is what this monitor says of itself.
	Self() wire.MonitorSelf
	// Join takes in a monitor that asks for it, Add one that an operator names, and
	// Remove takes one out. Only the leader can.
	Join(ctx context.Context, who wire.MonitorSelf) error
	Add(ctx context.Context, o wire.MonitorOrder) error
	Remove(ctx context.Context, name string) error
}

// Options are what [New] needs.
type Options struct {
	Coordinator Coordinator
	// Peers and Raft, the upgrade to the registry's stream, are nil where there is
	// no other monitor and never will be.
	Peers Peers
	Raft  http.Handler
	// StandStill has this process stand still for a while, as if it hung; nil: it may
	// not be asked for that.
	StandStill func(d time.Duration) error
	Proxy      http.Handler // the client API
	Metrics    http.Handler
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
	peers       Peers
	still       func(d time.Duration) error
	log         zerolog.Logger
	closed      func(conn any)
	router      http.Handler
	proxy       http.Handler
	origin      *http.CrossOriginProtection
	beats       pulse.Taker
	conns
}

// New makes the interface.
func New(o Options) *API {
	a := &API{coordinator: o.Coordinator, peers: o.Peers, log: o.Log, closed: o.ConnClosed, proxy: o.Proxy, origin: http.NewCrossOriginProtection()}
	a.origin.SetDenyHandler(http.HandlerFunc(foreign))
	a.still = o.StandStill
	a.router = a.routes(o)
	return a
}

// ServeHTTP implements [http.Handler]. Requests for one key, nearly all that
// come, do not pass through the router.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/v1/kv/") {
		a.router.ServeHTTP(w, r)
		return
	}
	if a.origin.Check(r) != nil {
		foreign(w, r)
		return
	}
	a.proxy.ServeHTTP(w, r)
}

func (a *API) routes(o Options) http.Handler {
	proxy := o.Proxy
	r := chi.NewRouter()
	r.NotFound(notFound)
	r.MethodNotAllowed(methodNotAllowed)
	r.Use(a.origin.Handler, middleware.GetHead)

	r.Handle("/v1/state", proxy)
	r.Handle("/v1/kv", proxy)
	r.Handle("/v1/kv/*", proxy)
	r.Handle(wire.PathWatch, proxy)

	r.Post(wire.PathHeartbeat, a.heartbeat)
	r.Get(wire.PathHeartbeats, a.heartbeats)

	r.Get("/v1/cluster", a.cluster)
	r.Get("/v1/history", a.history)
	r.Get(wire.PathEvents, a.events)
	r.Get("/v1/explain", a.explain)
	r.Group(a.atLeader)
	if a.peers != nil {
		r.Get(wire.PathMonitor, a.self)
		r.Method(http.MethodGet, wire.PathRaft, o.Raft)
	}
	r.Post("/v1/nodes/{name}/kill", a.kill)
	r.Post("/v1/nodes/{name}/freeze", a.freeze)
	r.Post("/v1/freeze", a.standStill)

	r.Get("/livez", live)
	r.Get("/readyz", a.ready)
	r.Method(http.MethodGet, "/metrics", o.Metrics)
	r.Get("/", index)
	return r
}

// foreign refuses what a page of another site has a browser send.
func foreign(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, problem.Errorf(problem.Forbidden, "a page of another site (%s) may not change anything here", origin(r)))
}

func origin(r *http.Request) string {
	if o := r.Header.Get("Origin"); o != "" {
		return o
	}
	return "unnamed"
}
