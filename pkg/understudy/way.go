package understudy

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/pkg/link"
)

// When requests go through a monitor, and when no longer.
const (
	// A detour is taken after so many probes that came to nothing, over so long,
	// of a node that a monitor says serves. A primary that fails is replaced in
	// less.
	detourProbes = 2
	detourAfter  = 500 * time.Millisecond
	// scoutEvery is how often the direct way is tried meanwhile.
	scoutEvery   = 3 * time.Second
	scoutTimeout = time.Second
	// pathProbe is what the courier asks of a node to learn whether it serves.
	pathProbe = "/primary"
)

// way carries requests to one node: directly, or through a monitor while the
// node cannot be reached from here. It implements [courier.Node].
type way struct {
	direct  *link.Client
	relay   *relay
	around  atomic.Bool  // requests go through a monitor
	shared  *atomic.Bool // the same, of the client: the next node begins with it
	log     zerolog.Logger
	ctx     context.Context // ends with Retire
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	failed int        // probes in a row
	since  time.Time  // of the first of them
	closed bool
}

func (c *Client) newWay(d dial, address string) *way {
	w := &way{
		direct: link.NewClient(link.ClientOptions{Dial: d, Address: address}),
		relay:  &relay{directory: c.directory, http: c.http, node: address},
		shared: &c.around,
		log:    c.log.With().Str("node_address", address).Logger(),
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	if w.shared.Load() {
		w.detour()
	}
	return w
}

// Do implements [courier.Node].
func (w *way) Do(ctx context.Context, r *link.Request) (*link.Response, error) {
	if w.around.Load() {
		if monitor, attendance := w.relay.directory.host(); monitor != "" {
			return w.through(ctx, attendance, monitor, r)
		}
		// Nobody to go through: the direct way is the only one.
	}
	res, err := w.direct.Do(ctx, r)
	if r.Target == pathProbe {
		w.probed(err)
	}
	return res, err
}

// through gives a request up, so that it is sent again another way, when the
// monitor is no longer the one that this client follows.
func (w *way) through(ctx, attendance context.Context, monitor string, r *link.Request) (*link.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.ctx, cancel)()
	defer context.AfterFunc(attendance, cancel)()
	return w.relay.do(ctx, monitor, r)
}

// probed judges a probe on the direct way.
func (w *way) probed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.failed = 0
		return
	}
	if w.failed++; w.failed == 1 {
		w.since = time.Now()
	}
	if w.failed < detourProbes || time.Since(w.since) < detourAfter || w.around.Load() || !w.relay.serves() {
		return
	}
	w.log.Warn().Err(err).Msg("node not reached: requests go through a monitor")
	w.startDetour()
}

func (w *way) detour() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.startDetour()
}

// startDetour is called with mu held.
func (w *way) startDetour() {
	if w.closed {
		return
	}
	w.around.Store(true)
	w.shared.Store(true)
	w.running.Go(w.scout)
}

// scout tries the direct way until it works.
func (w *way) scout() {
	for !w.reached() {
		if !wait(w.ctx, scoutEvery) {
			return
		}
	}
	w.mu.Lock()
	w.failed = 0
	w.around.Store(false)
	w.shared.Store(false)
	w.mu.Unlock()
	w.log.Info().Msg("node reached: requests go there directly")
}

// reached tells whether the node answers, whatever it says.
func (w *way) reached() bool {
	ctx, cancel := context.WithTimeout(w.ctx, scoutTimeout)
	defer cancel()
	_, err := w.direct.Do(ctx, &link.Request{Method: http.MethodGet, Target: pathProbe})
	return err == nil
}

// Retire implements [courier.Node].
func (w *way) Retire(ctx context.Context) {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.cancel()
	w.direct.Retire(ctx)
	w.running.Wait()
}
