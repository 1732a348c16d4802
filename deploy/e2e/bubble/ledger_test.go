package bubble

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/history"
	"understudy.example/pkg/problem"
)

// ledger remembers what became of every write of a test. Each write is of a key
// of its own, so that the final state tells of each whether it was applied.
type ledger struct {
	t       *testing.T
	mu      sync.Mutex
	done    map[string]string       // acknowledged
	refused map[string]problem.Code // told that it was certainly not applied
	unknown map[string]string
	tried   int
	// shared is the history of keys that many write and read; their values tell
	// nothing of a single write.
	shared *history.History
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, done: map[string]string{}, refused: map[string]problem.Code{}, unknown: map[string]string{}, shared: history.New(nil)}
}

// note enters what became of a write.
func (l *ledger) note(key, value string, a answer) problem.Code {
	l.mu.Lock()
	defer l.mu.Unlock()
	code := a.code()
	l.tried++
	if a.err == nil && a.status < http.StatusMultipleChoices {
		l.done[key] = value
	} else if code == problem.OutcomeUnknown || code == noAnswer {
		l.unknown[key] = value
	} else {
		l.refused[key] = code
	}
	return code
}

// forgetRefusal takes back that a key was refused: it was written later.
func (l *ledger) forgetRefusal(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.refused, key)
}

// judge holds the ledger against a final state.
func (l *ledger) judge(state map[string]string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, value := range l.done {
		require.Equal(l.t, value, state[key], "the acknowledged write of %s is lost", key)
	}
	for key, code := range l.refused {
		require.NotContains(l.t, state, key, "a write that was answered %s was applied", code)
	}
	for key, value := range state {
		if judgedElsewhere(key) || l.done[key] == value || l.unknown[key] == value {
			continue
		}
		require.Fail(l.t, "the state holds what nobody wrote", "%s=%s", key, value)
	}
	l.judgeShared(state)
}

// judgedElsewhere tells whether a key belongs to others than the ledger.
func judgedElsewhere(key string) bool {
	return slices.ContainsFunc([]string{sharedPrefix, strictPrefix, counterPrefix}, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// acknowledged returns how many writes have been so far.
func (l *ledger) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.done)
}

// total returns how many writes were tried.
func (l *ledger) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tried
}

// put writes a key through an address and notes what became of it.
func (c *cluster) put(at, key, value string) problem.Code {
	return c.ledger.note(key, value, c.http.put(at, key, value))
}

// mustPut writes a key through the monitor, and must succeed.
func (c *cluster) mustPut(key, value string) {
	c.t.Helper()
	require.Empty(c.t, c.put(c.via, key, value), key)
}

// load writes through the monitor, and reads back everywhere, until it is
// stopped.
type load struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// startLoad starts writers. Whatever is acknowledged to one, it then reads, at
// the monitor and at each node in turn: whoever answers must know of it.
func (c *cluster) startLoad(name string, writers int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel}
	via := c.via
	at := []string{via}
	for _, n := range c.names() {
		at = append(at, address(n))
	}
	for w := range writers {
		l.wait.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("%s-%d-%d", name, w, i)
				if c.put(via, key, "v") == "" {
					c.readBack(at[(i+w)%len(at)], key)
				}
				c.share(via, at[(i+2*w)%len(at)], fmt.Sprintf("%s-%d-%d", name, w, i), i)
				time.Sleep(c.pace)
			}
		})
	}
	c.t.Cleanup(l.stop) // a test that has failed leaves nothing behind
	return l
}

// readBack reads a key whose write was acknowledged. No answer is no harm.
func (c *cluster) readBack(at, key string) {
	a := c.http.sendWithin(2*time.Second, http.MethodGet, at+"/v1/kv/"+key, "")
	if a.err == nil && (a.status == http.StatusNotFound || a.status == http.StatusOK && string(a.body) != "v") {
		c.story.note(at + " answers an old state: " + key)
		c.t.Errorf("a stale read at %s: %s is %d", at, key, a.status)
	}
}

func (l *load) stop() {
	l.cancel()
	l.wait.Wait()
}

// pause returns the longest time from the beginning of fn to its end in which no
// write was acknowledged, with one tried each 5 ms, whatever becomes of those before it.
func (c *cluster) pause(name string, fn func()) time.Duration {
	var mu sync.Mutex
	last, longest := time.Now(), time.Duration(0)
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	wait.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			wait.Go(func() {
				if c.put(c.via, fmt.Sprintf("%s-%d", name, i), "v") == "" {
					mu.Lock()
					longest, last = max(longest, time.Since(last)), time.Now()
					mu.Unlock()
				}
			})
			time.Sleep(5 * time.Millisecond)
		}
	})
	fn()
	cancel()
	wait.Wait()
	return max(longest, time.Since(last))
}
