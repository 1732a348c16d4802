package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
)

// clock is a number that grows: one writes it through the monitor, and others
// read it at nodes. A read that began after a number was acknowledged must not
// show a lower one.
type clock struct {
	http *http.Client

	mu      sync.Mutex // guards the fields below
	key     string
	floor   int // the newest acknowledged number at key; 0: none was
	answers int
	stale   []string
}

// ticking has a clock written, and read at all nodes, until the returned
// function is called, which judges the reads.
func (s *story) ticking() (judge func()) {
	s.t.Helper()
	c := &clock{key: "clock/0", http: &http.Client{
		Timeout: time.Second, Transport: &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	end := make(chan struct{})
	var working sync.WaitGroup
	repeat := func(do func(n int)) {
		working.Go(func() {
			for n := 1; ; n++ {
				select {
				case <-end:
					return
				case <-time.After(5 * time.Millisecond):
					do(n)
				}
			}
		})
	}
	repeat(func(n int) { s.tick(c, n) })
	for _, node := range s.Nodes() {
		repeat(func(int) { s.readClock(c, node) })
	}
	stop := sync.OnceFunc(func() {
		close(end)
		working.Wait()
		c.http.CloseIdleConnections()
	})
	s.t.Cleanup(stop)
	return func() {
		s.t.Helper()
		stop()
		require.Empty(s.t, c.stale)
		require.Greater(s.t, c.answers, 10)
	}
}

// tick writes the next number. Where nobody tells what became of it it may be
// written late, so the clock goes on under another key.
func (s *story) tick(c *clock, n int) {
	key, _ := c.now()
	status, _ := c.send(http.MethodPut, s.Monitor(), key, strconv.Itoa(n))
	c.mu.Lock()
	defer c.mu.Unlock()
	if status == http.StatusNoContent {
		c.floor = n
		return
	}
	c.key, c.floor = fmt.Sprintf("clock/%d", n), 0
}

// send makes a request on a connection that is kept; 0: it was not answered.
func (c *clock) send(method, at, key, value string) (status int, body string) {
	req, err := http.NewRequestWithContext(context.Background(), method, at+"/v1/kv/"+key, strings.NewReader(value))
	if err != nil {
		return 0, err.Error()
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

func (c *clock) now() (key string, floor int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.key, c.floor
}

func (s *story) readClock(c *clock, node string) {
	key, floor := c.now()
	status, body := c.send(http.MethodGet, s.Node(node), key, "")
	if status != http.StatusOK && status != http.StatusNotFound {
		return // it says that it cannot tell
	}
	n, _ := strconv.Atoi(body) // 0: there is none
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers++
	if n < floor {
		c.stale = append(c.stale, fmt.Sprintf("%s shows %d at %s, and %d was acknowledged before it was asked", node, n, key, floor))
	}
}
