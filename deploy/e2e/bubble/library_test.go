package bubble

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/understudy"
)

// libraryHost is where the application runs that uses the client library.
const libraryHost = "application"

// counterPrefix begins the keys that are counted up with the library.
const counterPrefix = "counter/"

// library opens a client of the cluster.
func (c *cluster) library() *understudy.Client {
	lib, err := understudy.Open(understudy.Options{
		Monitors: []string{monitorAddress}, Dial: c.net.Host(libraryHost).Dial,
		Log: c.story.logger().With().Str("host", libraryHost).Logger(),
	})
	require.NoError(c.t, err)
	return lib
}

// counters are keys, of which each is counted up by one goroutine, and what a
// watch has seen of them.
type counters struct {
	c      *cluster
	lib    *understudy.Client
	cancel context.CancelFunc
	work   sync.WaitGroup
	ctx    context.Context

	mu     sync.Mutex // guards the fields below
	last   map[string]int
	seen   map[string]int
	errs   []error
	longer time.Duration // the longest that one call took
}

// count starts n counters and a watch of them.
func (c *cluster) count(lib *understudy.Client, n int) *counters {
	k := &counters{c: c, lib: lib, last: map[string]int{}, seen: map[string]int{}}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.work.Go(k.watch)
	for i := range n {
		k.work.Go(func() { k.up(fmt.Sprint(counterPrefix, i)) })
	}
	return k
}

// up counts by compare and set: a write that was applied twice, or not at all,
// breaks the chain of ETags.
func (k *counters) up(key string) {
	etag := ""
	for n := 1; k.ctx.Err() == nil; n++ {
		condition := understudy.IfMatch(etag)
		if etag == "" {
			condition = understudy.IfAbsent()
		}
		began := time.Now()
		tag, err := k.lib.Put(context.Background(), key, []byte(strconv.Itoa(n)), condition)
		k.mu.Lock()
		if err != nil {
			k.errs = append(k.errs, fmt.Errorf("%s to %d: %w", key, n, err))
			k.mu.Unlock()
			return
		}
		etag, k.last[key] = tag, n
		k.longer = max(k.longer, time.Since(began))
		k.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}

// watch checks that each counter goes up by one.
func (k *counters) watch() {
	for event, err := range k.lib.Watch(k.ctx, counterPrefix) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				k.fail(err)
			}
			return
		}
		for _, change := range event.Changes {
			n, err := strconv.Atoi(string(change.Value))
			if err != nil {
				k.fail(err)
			}
			k.saw(change.Key, n, event.Snapshot)
		}
	}
}

func (k *counters) saw(key string, n int, snapshot bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if before := k.seen[key]; n != before+1 && !snapshot {
		k.errs = append(k.errs, fmt.Errorf("the watch saw %s go from %d to %d", key, before, n))
	}
	k.seen[key] = n
}

func (k *counters) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.errs = append(k.errs, err)
}

// stop ends the counting, and checks it against the map.
func (k *counters) stop() {
	k.c.t.Helper()
	time.Sleep(time.Second) // the watch sees the last ones
	k.cancel()
	k.work.Wait()
	k.c.t.Logf("the longest call took %s", k.longer)
	require.Empty(k.c.t, k.errs)
	state, err := k.lib.State(context.Background())
	require.NoError(k.c.t, err)
	for key, n := range k.last {
		require.Equal(k.c.t, strconv.Itoa(n), state[key])
		require.GreaterOrEqual(k.c.t, k.seen[key], n-1, "the newest may have come when the watch was over")
		require.Greater(k.c.t, n, 100)
	}
}

// An application that uses the library sees no error of any failover, has every
// write applied once, and its watch misses and repeats nothing.
func TestLibraryThroughFailovers(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		c.plainLinks()
		lib := c.library()
		defer lib.Close()
		k := c.count(lib, 8)
		for _, hit := range []func(name string){c.crash, c.powerOff, c.crash} {
			time.Sleep(time.Second)
			primary, standby := c.roles()
			hit(primary)
			c.waitInSync(standby)
			time.Sleep(500 * time.Millisecond)
			c.start(primary)
			c.waitInSync(c.names()...)
		}
		k.stop()
		require.Less(t, k.longer, 4*time.Second)
		require.EqualValues(t, 4, c.waitInSync(c.names()...).Epoch)
	})
}

// The monitor's absence alone stops nothing for an application that reaches the
// nodes.
func TestLibraryWithoutTheMonitor(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		lib := c.library()
		defer lib.Close()
		k := c.count(lib, 2)
		time.Sleep(time.Second)
		c.crashMonitor()
		time.Sleep(10 * time.Second)
		c.startMonitor()
		time.Sleep(2 * time.Second)
		primary, standby := c.roles()
		c.crash(primary)
		c.waitInSync(standby)
		k.stop()
		require.Less(t, k.longer, time.Second)
	})
}

// An application whose machine does not reach the nodes gets through by the
// monitor, and directly again once it can.
func TestLibraryThroughTheMonitor(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		lib := c.library()
		defer lib.Close()
		k := c.count(lib, 2)
		time.Sleep(time.Second)
		for _, name := range c.names() {
			c.net.CutBoth(libraryHost, name)
		}
		time.Sleep(10 * time.Second)
		primary, standby := c.roles()
		c.crash(primary)
		c.waitInSync(standby)
		time.Sleep(time.Second)
		c.net.HealAll()
		time.Sleep(5 * time.Second)
		k.stop()
		require.Less(t, k.longer, 7*time.Second)
		require.Positive(t, c.story.count("requests go through a monitor"))
		require.Positive(t, c.story.count("requests go there directly"))
	})
}
