package resync

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/pkg/wire"
)

// fake is a store whose other node is in sync a while after it was started.
type fake struct {
	mu     sync.Mutex // guards the fields below
	values map[string]string
	pause  time.Duration // the first write after the start takes this long
	fail   bool          // and then fails
	never  bool          // the node is never in sync
	joined time.Time
}

func newFake(t *testing.T) (*fake, string) {
	f := &fake{values: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("PATCH /v1/state", f.patch)
	mux.HandleFunc("PUT /v1/kv/{key}", f.put)
	mux.HandleFunc("GET /v1/kv/{key}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /v1/kv", f.page)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return f, strings.TrimPrefix(srv.URL, "http://")
}

func (f *fake) patch(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = json.NewDecoder(r.Body).Decode(&f.values)
	w.WriteHeader(http.StatusNoContent)
}

func (f *fake) put(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.values[r.PathValue("key")] = string(body)
	if !f.joined.IsZero() {
		time.Sleep(f.pause)
		f.pause = 0
		if f.fail {
			f.fail = false
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
}

func (f *fake) page(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var page wire.Page
	for _, k := range slices.Sorted(maps.Keys(f.values)) {
		if k <= r.FormValue("after") {
			continue
		}
		if len(page.Items) == 3 {
			page.Next = page.Items[2].Key
			break
		}
		v := f.values[k]
		page.Items = append(page.Items, wire.Item{Key: k, Value: &v})
	}
	_ = json.NewEncoder(w).Encode(page)
}

func (f *fake) Join() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joined = time.Now()
	return nil
}

func (f *fake) InSync(context.Context) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.never {
		return false, errors.New("no monitor")
	}
	return time.Since(f.joined) > 100*time.Millisecond, nil
}

func (f *fake) Processes() []Process { return []Process{{Name: "none"}} }

func (f *fake) options(address string, k *Keys) Options {
	return Options{
		Cluster: f, Keys: k, Writers: 3, Readers: 1, For: 100 * time.Millisecond, Limit: 5 * time.Second, Second: func(Second) {},
		Open: func() call.Caller { return call.NewHTTP(call.At(address), 10*time.Second) },
	}
}

func TestAMeasurement(t *testing.T) {
	f, address := newFake(t)
	f.pause = 70 * time.Millisecond
	k := NewKeys(64*20, 64)
	require.Equal(t, 20, k.Len())
	require.NoError(t, k.Fill(t.Context(), address))
	require.Len(t, f.values, 20)
	r, err := Run(t.Context(), f.options(address, k))
	require.NoError(t, err)
	require.Zero(t, r.Failed)
	require.GreaterOrEqual(t, r.InSync, 0.1)
	require.GreaterOrEqual(t, r.Longest, 70.0)
	require.GreaterOrEqual(t, r.Worst, 70*time.Millisecond)
	require.Equal(t, []string{"before", "during", "after"}, []string{r.Phases[0].Phase, r.Phases[1].Phase, r.Phases[2].Phase})
	for _, p := range r.Phases {
		require.LessOrEqual(t, p.Writes.P50, p.Writes.P99)
	}
	wrong, err := k.Check(t.Context(), address)
	require.NoError(t, err)
	require.Empty(t, wrong)
}

func TestPausesBelongToThePhaseInWhichTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGauge(Options{})
		well := call.Answer{Status: http.StatusOK}
		answered := func(ofWriter bool, after, took time.Duration) {
			time.Sleep(after)
			g.answered(ofWriter, time.Now().Add(-took), well)
		}
		answered(true, time.Second, time.Millisecond)
		answered(true, 50*time.Millisecond, 5*time.Millisecond)
		g.enter(During)
		answered(false, 60*time.Millisecond, time.Second)
		answered(true, 10*time.Millisecond, 90*time.Millisecond)
		answered(true, 20*time.Millisecond, time.Millisecond)
		r := g.report([phases]time.Duration{time.Second, time.Second, time.Second})
		require.InDelta(t, 50, r.Phases[Before].Pause, 0)
		require.InDelta(t, 70, r.Phases[During].Pause, 0, "readers do not end a pause")
		require.Zero(t, r.Phases[After].Pause)
		require.Equal(t, []float64{70, 90}, []float64{r.Pause, r.Longest})
		require.Equal(t, 90*time.Millisecond, r.Worst)
	})
}

func TestWhatIsLostIsFound(t *testing.T) {
	f, address := newFake(t)
	k := NewKeys(64*20, 64)
	require.NoError(t, k.Fill(t.Context(), address))
	k.version[7], k.tried[7] = 2, 3
	delete(f.values, name(3))
	delete(f.values, name(19))
	f.values[name(4)] = f.values[name(5)]
	f.values["resync/new"] = "?"
	wrong, err := k.Check(t.Context(), address)
	require.NoError(t, err)
	require.Equal(t, []string{
		"resync/00000003 is missing", "resync/00000004 holds what was never written to it",
		"resync/00000007 is at version 0, and 2 was acknowledged", "resync/00000019 is missing", "resync/new was never written",
	}, wrong)
	buf := make([]byte, 64)
	for version, well := range map[uint32]bool{1: false, 2: true, 3: true, 4: false} {
		k.put(buf, 7, version)
		v := string(buf)
		require.Equal(t, well, k.compare(7, wire.Item{Value: &v}) == "", version)
	}
}

func TestFailuresAreCounted(t *testing.T) {
	f, address := newFake(t)
	f.fail = true
	k := NewKeys(64*20, 64)
	require.NoError(t, k.Fill(t.Context(), address))
	r, err := Run(t.Context(), f.options(address, k))
	require.NoError(t, err)
	require.Equal(t, 1, r.Failed)
	require.NotEmpty(t, r.Failure)
}

func TestANodeThatIsNeverInSync(t *testing.T) {
	f, address := newFake(t)
	f.never = true
	o := f.options(address, NewKeys(64, 64))
	o.Limit = 10 * time.Millisecond
	_, err := Run(t.Context(), o)
	require.ErrorContains(t, err, "the node is not in sync after 10ms (no monitor)")

	_, refused := newFake(t)
	require.ErrorContains(t, NewKeys(64*20, 64).Fill(t.Context(), refused+"/nowhere"), "fill the cluster")
}

func TestOfAProcess(t *testing.T) {
	p := Process{Name: "none", Dir: t.TempDir()}
	require.Zero(t, p.Memory())
	require.Zero(t, p.Disk())
}
