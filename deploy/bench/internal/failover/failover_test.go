package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// store is a primary without copies: it answers the calls that the writers use,
// and does wrong where the test asks for it.
type store struct {
	mu     sync.Mutex // guards the fields below
	keys   map[string]entry
	seq    int
	dead   bool
	broken int // how many of the next writes are applied, but not answered

	primary string
	onKill  func(*store)
}

type entry struct {
	value string
	etag  string
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.TrimPrefix(r.URL.Path, "/v1/kv/")
	old, ok := s.keys[key]
	switch {
	case s.dead:
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.Method == http.MethodGet && !ok:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodGet:
		w.Header().Set("ETag", old.etag)
		_, _ = io.WriteString(w, old.value)
	case r.Header.Get("If-None-Match") == "*" && ok, r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != old.etag:
		w.WriteHeader(http.StatusPreconditionFailed)
	default:
		w.Header().Set("ETag", s.set(key, string(body)))
		if s.broken > 0 {
			s.broken--
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusNoContent)
	}
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
	if s.dead {
		return "", "", errors.New("there is no primary")
	}
	return s.primary, "", nil
}

// Kill lets the other take over after 50 ms.
func (s *store) Kill(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
	time.AfterFunc(50*time.Millisecond, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.dead = false
		s.primary = map[string]string{"app1": "app2", "app2": "app1"}[name]
		if s.onKill != nil {
			s.onKill(s)
		}
	})
	return nil
}

func (s *store) Start(string) error              { return nil }
func (s *store) WaitReady(context.Context) error { return nil }

func setup(t *testing.T) (*store, Options) {
	t.Helper()
	s := &store{keys: map[string]entry{}, primary: "app1"}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, Options{
		Trials: 1, Writers: 3, Settle: 20 * time.Millisecond, After: 20 * time.Millisecond, Limit: 5 * time.Second,
		Target: func(context.Context) (string, error) { return strings.TrimPrefix(srv.URL, "http://"), nil },
	}
}

func run(t *testing.T, s *store, opts Options) []Trial {
	t.Helper()
	var trials []Trial
	require.NoError(t, Run(t.Context(), s, opts, func(t Trial) { trials = append(trials, t) }))
	return trials
}

func TestACleanFailover(t *testing.T) {
	s, opts := setup(t)
	opts.Trials = 2
	trials := run(t, s, opts)
	require.Len(t, trials, 2)
	require.Equal(t, "app1", trials[0].Killed)
	require.Equal(t, "app2", trials[0].Successor)
	require.Equal(t, "app2", trials[1].Killed)
	for _, tr := range trials {
		require.GreaterOrEqual(t, tr.Outage, 45.0)
		require.GreaterOrEqual(t, tr.WriterMax, tr.WriterMedian)
		require.GreaterOrEqual(t, tr.WriterMedian, 45.0)
		require.Positive(t, tr.Acknowledged)
		require.Positive(t, tr.Refused)
		require.Empty(t, tr.Lost)
		require.Empty(t, tr.Doubled)
	}
}

func TestAnswersThatGetLostAreNoFault(t *testing.T) {
	s, opts := setup(t)
	s.onKill = func(s *store) { s.broken = 7 }
	tr := run(t, s, opts)[0]
	require.Equal(t, 7, tr.Broken)
	require.Empty(t, tr.Lost)
	require.Empty(t, tr.Doubled)
}

func TestALostWriteIsFound(t *testing.T) {
	s, opts := setup(t)
	s.onKill = func(s *store) { delete(s.keys, "bench/0/1/once/0") }
	require.Equal(t, []string{`bench/0/1/once/0: found ""`}, run(t, s, opts)[0].Lost)
}

func TestALostChainIsFound(t *testing.T) {
	s, opts := setup(t)
	s.onKill = func(s *store) { delete(s.keys, "bench/0/1/chain") }
	lost := run(t, s, opts)[0].Lost
	require.Len(t, lost, 1)
	require.Regexp(t, `^bench/0/1/chain: value \d+ is gone$`, lost[0])
}

func TestAChainThatGoesBackIsFound(t *testing.T) {
	s, opts := setup(t)
	s.onKill = func(s *store) { s.set("bench/0/1/chain", "-1") }
	lost := run(t, s, opts)[0].Lost
	require.Len(t, lost, 1)
	require.Regexp(t, `^bench/0/1/chain: value \d+ is back to -1$`, lost[0])
}

func TestADoubledWriteIsFound(t *testing.T) {
	s, opts := setup(t)
	s.onKill = func(s *store) { s.set("bench/0/1/chain", s.keys["bench/0/1/chain"].value) }
	doubled := run(t, s, opts)[0].Doubled
	require.Len(t, doubled, 1)
	require.Contains(t, doubled[0], "bench/0/1/chain: value ")
}

func TestALossAfterTheEndIsFound(t *testing.T) {
	s, opts := setup(t)
	w := newWriter("x/", opts.Target)
	s.set("x/chain", "4")
	w.chained = 9
	require.NoError(t, verify(t.Context(), opts, []*writer{w}))
	require.Equal(t, []string{`x/chain: value 9 was acknowledged, found "4"`}, w.lost)
}

func TestNobodyTakesOver(t *testing.T) {
	s, opts := setup(t)
	opts.Limit = 30 * time.Millisecond
	err := Run(t.Context(), s, opts, func(Trial) {})
	require.EqualError(t, err, "trial 1: nobody took over from app1 within 30ms")
}

func TestAnAnswerThatNobodyExpects(t *testing.T) {
	_, opts := setup(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not updatable", http.StatusUnprocessableEntity)
	}))
	defer srv.Close()
	opts.Target = func(context.Context) (string, error) { return strings.TrimPrefix(srv.URL, "http://"), nil }
	opts.Settle = time.Minute
	err := Run(t.Context(), &store{primary: "app1"}, opts, func(Trial) {})
	require.ErrorContains(t, err, "trial 1: PUT /v1/kv/bench%2F0%2F")
	require.ErrorContains(t, err, "the server answered 422: not updatable")
}

func TestOutage(t *testing.T) {
	at := func(ms ...int) (acks []time.Time) {
		for _, m := range ms {
			acks = append(acks, time.UnixMilli(int64(m)))
		}
		return acks
	}
	kill := time.UnixMilli(100)
	require.Zero(t, outage(nil, kill))
	require.Zero(t, outage(at(10, 60, 90), kill), "gaps before the kill do not count")
	require.InDelta(t, 150, outage(at(10, 95, 245, 250), kill), 0.001)
	require.InDelta(t, 40, outage(at(95, 105, 145), kill), 0.001)
	require.InDelta(t, 3, Median([]float64{1, 2, 3, 4}), 0)
	require.Zero(t, Median(nil))
}
