package failover

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/pkg/wire"
)

const (
	latency  = time.Millisecond
	takeover = 50 * time.Millisecond
)

// store is a cluster without copies whose requests wait out a change of its
// primary, as a good proxy lets them. It does wrong where a test asks for it.
type store struct {
	mu      sync.Mutex // guards the fields below
	keys    map[string]entry
	ids     map[string]string // request key to entity tag
	seq     int
	primary string
	down    bool
	story   []string

	onStrike func(*store)                                   // as the other takes over
	spoil    func(*store, call.Request) (call.Answer, bool) // answers in the store's place
	items    func([]wire.Item) ([]wire.Item, error)
	deaf     bool // nobody takes over
}

type entry struct{ value, etag string }

func newStore() *store {
	return &store{keys: map[string]entry{}, ids: map[string]string{}, primary: "app1"}
}

// Open returns a way to the store.
func (s *store) Open() call.Caller { return way{s} }

type way struct{ *store }

func (way) Close() {}

func (w way) Call(ctx context.Context, req call.Request) call.Answer {
	time.Sleep(latency)
	s := w.store
	for {
		s.mu.Lock()
		if !s.down {
			break
		}
		s.mu.Unlock()
		if pause(ctx, latency) != nil {
			return call.Answer{Code: "no_primary"}
		}
	}
	defer s.mu.Unlock()
	if s.spoil != nil {
		if a, ok := s.spoil(s, req); ok {
			return a
		}
	}
	return s.carryOut(req)
}

func (s *store) carryOut(req call.Request) call.Answer {
	old, there := s.keys[req.Key]
	etag, known := s.ids[req.ID]
	switch {
	case req.Method == http.MethodGet && !there:
		return call.Answer{Status: http.StatusNotFound, Code: "not_found"}
	case req.Method == http.MethodGet:
		return call.Answer{Status: http.StatusOK, ETag: old.etag, Body: []byte(old.value)}
	case req.ID != "" && known:
		return call.Answer{Status: http.StatusNoContent, ETag: etag}
	case req.Match != "" && req.Match != old.etag, req.Absent && there:
		return call.Answer{Status: http.StatusPreconditionFailed, Code: "precondition_failed"}
	}
	etag = s.set(req.Key, string(req.Body))
	if req.ID != "" {
		s.ids[req.ID] = etag
	}
	return call.Answer{Status: http.StatusNoContent, ETag: etag}
}

func (s *store) set(key, value string) (etag string) {
	s.seq++
	etag = fmt.Sprintf(`"1.%d"`, s.seq)
	s.keys[key] = entry{value, etag}
	return etag
}

func (s *store) Primary(context.Context) (string, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return "", "", errors.New("no primary serves now")
	}
	return s.primary, "", nil
}

func (s *store) tell(what, name string) { s.story = append(s.story, what+" "+name) }

// strike lets the other take over a moment later.
func (s *store) strike(what, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(what, name)
	s.down = true
	if s.deaf {
		return nil
	}
	time.AfterFunc(takeover, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.down = false
		s.primary = map[string]string{"app1": "app2", "app2": "app1"}[name]
		if s.onStrike != nil {
			s.onStrike(s)
		}
	})
	return nil
}

func (s *store) undo(what, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(what, name)
	return nil
}

func (s *store) Kill(name string) error          { return s.strike("kill", name) }
func (s *store) Terminate(name string) error     { return s.strike("terminate", name) }
func (s *store) Stop(name string) error          { return s.strike("stop", name) }
func (s *store) Start(name string) error         { return s.undo("start", name) }
func (s *store) Cont(name string) error          { return s.undo("cont", name) }
func (s *store) WaitReady(context.Context) error { return s.undo("ready", "") }
func (s *store) Remove(_ context.Context, keys []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		delete(s.keys, k)
	}
	return nil
}

func (s *store) Items(_ context.Context, prefix string) (all []wire.Item, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, e := range s.keys {
		if strings.HasPrefix(k, prefix) {
			all = append(all, wire.Item{Key: k, Value: &e.value, ETag: e.etag})
		}
	}
	if s.items != nil {
		return s.items(all)
	}
	return all, nil
}

// linked is a store with links and a switchover.
type linked struct{ *store }

func (s linked) Cut(name string) error            { return s.strike("cut", name) }
func (s linked) Heal(name string) error           { return s.undo("heal", name) }
func (s linked) Switchover(context.Context) error { return s.strike("switchover", s.primary) }

func options(s *store, kind string) Options {
	return Options{
		Kind: KindOf(kind), Trials: 1, Writers: 4, Readers: 3, Settle: 100 * time.Millisecond, Down: time.Second,
		After: 50 * time.Millisecond, Think: time.Millisecond, Limit: 5 * time.Second,
		Prefix: "b/", Open: s.Open, Named: true, Conditional: true,
	}
}

// run makes trials in a bubble, where time is exact.
func run(t *testing.T, c Cluster, opts Options) (trials []Trial, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		err = Run(t.Context(), c, opts, func(one Trial) { trials = append(trials, one) })
	})
	return trials, err
}

// one makes one trial by kill that must succeed.
func one(t *testing.T, s *store, change ...func(*Options)) Trial {
	t.Helper()
	opts := options(s, "kill")
	for _, c := range change {
		c(&opts)
	}
	trials, err := run(t, s, opts)
	require.NoError(t, err)
	require.Len(t, trials, 1)
	return trials[0]
}
