package bubble

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// The keys of a strict load, and how many callers of each kind it has.
const (
	strictPrefix  = "strict-"
	sharedCounter = strictPrefix + "count-all"
	callersOfKind = 3
	// strictPause is between two requests of a caller: over all callers there is
	// one each 1.5 ms or so.
	strictPause = 20 * time.Millisecond
)

// strictLoad calls through the monitor as an application does that never expects
// an error: whatever is not a success is a finding. Nothing is repeated because of
// an answer; what is repeated is repeated at random, to be applied once all the
// same.
type strictLoad struct {
	c      *cluster
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex        // guards the fields below
	want     map[string]string // what was acknowledged last, by key
	adds     int               // acknowledged to the shared counter
	calls    int
	findings []string
	longest  time.Duration // that a call took
}

// startStrict starts writers of plain keys, counters by compare-and-set, each
// alone and all together, writers with keys of their own, and readers.
func (c *cluster) startStrict() *strictLoad {
	l := &strictLoad{c: c, want: map[string]string{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	c.t.Cleanup(l.end) // a test that has failed leaves nothing behind
	for i := range callersOfKind {
		rng := rand.New(rand.NewPCG(c.seed, uint64(i)))
		l.repeat(func(n int) { l.plain(fmt.Sprint(strictPrefix, "plain-", i), n) })
		l.repeat(l.counter(fmt.Sprint(strictPrefix, "count-", i)))
		l.repeat(l.keyed(fmt.Sprint(strictPrefix, "keyed-", i), rng))
		l.repeat(l.reader(fmt.Sprint(strictPrefix, "plain-", i)))
		l.repeat(func(int) { l.addOne() })
	}
	return l
}

func (l *strictLoad) repeat(call func(n int)) {
	l.work.Go(func() {
		for n := 1; l.ctx.Err() == nil; n++ {
			call(n)
			time.Sleep(strictPause)
		}
	})
}

func (l *strictLoad) end() {
	l.cancel()
	l.work.Wait()
}

// call sends one request, and finds fault with every answer that is neither a
// success nor one of the statuses that fit.
func (l *strictLoad) call(method, key, body string, fits int, header ...string) answer {
	began := time.Now()
	a := l.c.http.send(method, monitorAddress+"/v1/kv/"+key, body, header...)
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	l.longest = max(l.longest, took)
	if a.err != nil || a.code() != "" && a.status != fits {
		l.find("%s %s %s %q after %s: %v", method, key, body, header, took, a.failure())
	}
	return a
}

// find notes what must not be. The caller holds mu.
func (l *strictLoad) find(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.c.story.note("finding: " + text)
	l.findings = append(l.findings, text)
}

// acknowledged notes what a key holds from now on.
func (l *strictLoad) acknowledged(key, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.want[key] = value
}

func (l *strictLoad) plain(key string, n int) {
	if value := strconv.Itoa(n); l.call(http.MethodPut, key, value, 0).code() == "" {
		l.acknowledged(key, value)
	}
}

// counter counts a key up, each time on the condition that it was left where it
// was: an answer that came too often, or a write that was applied twice, breaks
// the chain.
func (l *strictLoad) counter(key string) func(int) {
	condition := []string{"If-None-Match", "*"}
	return func(n int) {
		a := l.call(http.MethodPut, key, strconv.Itoa(n), 0, condition...)
		if a.code() == "" {
			l.acknowledged(key, strconv.Itoa(n))
			condition = []string{"If-Match", a.header.Get("ETag")}
		}
	}
}

// addOne adds one to the counter that all share: the sum at the end is the number
// of successes.
func (l *strictLoad) addOne() {
	a := l.call(http.MethodGet, sharedCounter, "", http.StatusNotFound)
	condition, n := []string{"If-None-Match", "*"}, 0
	if a.status == http.StatusOK {
		condition = []string{"If-Match", a.header.Get("ETag")}
		n, _ = strconv.Atoi(string(a.body)) // what is no number gives a sum that is wrong
	}
	if a = l.call(http.MethodPut, sharedCounter, strconv.Itoa(n+1), http.StatusPreconditionFailed, condition...); a.code() == "" {
		l.mu.Lock()
		l.adds++
		l.mu.Unlock()
	}
}

// keyed writes under keys of its own and repeats some requests, the newest or one
// that has been overwritten since: the answer is that of the first time, and the
// value does not come back.
func (l *strictLoad) keyed(key string, rng *rand.Rand) func(int) {
	etags := map[int]string{}
	write := func(n int) {
		id := fmt.Sprint(key, "/", n)
		a := l.call(http.MethodPut, key, strconv.Itoa(n), 0, wire.HeaderKey, id)
		etag := a.header.Get("ETag")
		if before, repeated := etags[n]; repeated && etag != before && a.code() == "" {
			l.mu.Lock()
			l.find("%s was answered %s, and %s when it was repeated", id, before, etag)
			l.mu.Unlock()
		}
		etags[n] = etag
	}
	return func(n int) {
		write(n)
		l.acknowledged(key, strconv.Itoa(n))
		for range rng.IntN(3) {
			write(max(1, n-rng.IntN(3)))
		}
	}
}

// reader reads a key of another caller: its values never go back.
func (l *strictLoad) reader(key string) func(int) {
	newest := 0
	return func(int) {
		l.mu.Lock()
		least, _ := strconv.Atoi(l.want[key]) // nothing is 0
		l.mu.Unlock()
		a := l.call(http.MethodGet, key, "", http.StatusNotFound)
		n, _ := strconv.Atoi(string(a.body))
		if a.status != http.StatusOK {
			n = 0
		}
		if a.err == nil && n < max(least, newest) {
			l.mu.Lock()
			l.find("%s reads %d, and %d was known before", key, n, max(least, newest))
			l.mu.Unlock()
		}
		newest = max(newest, n)
	}
}

// zeros ends the load and requires: no request failed, nothing that was
// acknowledged is lost, nothing is applied twice. It returns how long the longest
// request took.
func (l *strictLoad) zeros() time.Duration {
	l.c.t.Helper()
	l.end()
	require.Empty(l.c.t, l.findings, "of %d requests", l.calls)
	require.Greater(l.c.t, l.calls, 100)
	l.c.finish()
	s, err := l.c.http.replica(l.c.group().InSync[0])
	require.NoError(l.c.t, err)
	for key, value := range l.want {
		require.Equal(l.c.t, value, s.values[key], key)
	}
	require.Equal(l.c.t, strconv.Itoa(l.adds), s.values[sharedCounter], "each success of the shared counter counts once")
	return l.longest
}

// order gives the monitor an operator's order.
func (c *cluster) order(method, path, body string) answer {
	c.story.note(strings.TrimSpace("an operator orders " + path + " " + body))
	return c.http.send(method, monitorAddress+path, body)
}

// mustOrder gives an order that must be carried out.
func (c *cluster) mustOrder(method, path, body string) {
	c.t.Helper()
	a := c.order(method, path, body)
	require.Equal(c.t, problem.Code(""), a.code(), "%s %s: %s", path, body, a.body)
}

func (c *cluster) switchover() {
	c.t.Helper()
	c.mustOrder(http.MethodPost, "/v1/switchover", "")
}

func (c *cluster) maintain(name string, on bool) {
	c.t.Helper()
	c.mustOrder(http.MethodPut, "/v1/nodes/"+name+"/maintenance", fmt.Sprintf(`{"on":%t}`, on))
}

func (c *cluster) pauseFailover(on bool) {
	c.t.Helper()
	c.mustOrder(http.MethodPatch, "/v1/config", fmt.Sprintf(`{"paused":%t}`, on))
}

// terminate ends a node as SIGTERM does: it hands over first.
func (c *cluster) terminate(name string) {
	c.t.Helper()
	c.story.note(name + " is told to stop")
	c.stopNode(name)
}
