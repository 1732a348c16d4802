package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/daemon"
	"understudy.example/pkg/memnet"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/sse"
	"understudy.example/pkg/wire"
)

// news is what a fake coordinator tells.
type news struct {
	mu      sync.Mutex // guards the fields below
	primary wire.PrimaryEvent
	history []protocol.HistoryEvent
	changed chan struct{}
	asked   int
}

// News implements [Coordinator].
func (n *news) News() (wire.PrimaryEvent, []protocol.HistoryEvent, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	return n.primary, n.history, n.changed
}

// now changes what is told.
func (n *news) now(change func(n *news)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := n.changed
	n.changed = make(chan struct{})
	change(n)
	if last != nil {
		close(last)
	}
}

func happened(ids ...uint64) func(*news) {
	return func(n *news) {
		for _, id := range ids {
			n.history = append(slices.Clip(n.history), protocol.HistoryEvent{ID: id, Kind: "note"})
		}
	}
}

func leads(name string, epoch protocol.Epoch) func(*news) {
	return func(n *news) {
		n.primary = wire.PrimaryEvent{Cluster: "c1", Name: name, Address: name + ":8081", Epoch: epoch, Version: 7, Serving: true}
	}
}

// newsroom is a server in a bubble whose coordinator knows app1 as the primary,
// and events 1 to 3.
type newsroom struct {
	t      *testing.T
	net    *memnet.Net
	fake   *coordinator
	served chan error
	stop   context.CancelFunc
}

func inNewsroom(t *testing.T, fn func(t *testing.T, n *newsroom)) {
	synctest.Test(t, func(t *testing.T) {
		n := &newsroom{t: t, net: memnet.New(1), fake: new(coordinator), served: make(chan error, 1)}
		n.fake.now(leads("app1", 1))
		n.fake.now(happened(1, 2, 3))
		ln, err := n.net.Host("m1").Listen(t.Context(), "m1:8080")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		n.stop = cancel
		go func() {
			n.served <- daemon.Serve(ctx, ln, daemon.HTTPOptions{Handler: newAPI(n.fake), Log: zerolog.Nop(), Grace: time.Second})
		}()
		defer func() {
			n.fake.now(func(n *news) { n.changed = nil })
			cancel()
			require.NoError(t, <-n.served)
			n.net.Close()
		}()
		fn(t, n)
	})
}

// subscriber reads a stream.
type subscriber struct {
	t    *testing.T
	conn net.Conn
	body *sse.Reader
}

func (n *newsroom) subscribe(query string, header ...string) *subscriber {
	n.t.Helper()
	conn, err := n.net.Host("client").Dial(n.t.Context(), "tcp", "m1:8080")
	require.NoError(n.t, err)
	text := "GET /v1/events" + query + " HTTP/1.1\r\nHost: m1\r\n"
	for i := 0; i < len(header); i += 2 {
		text += header[i] + ": " + header[i+1] + "\r\n"
	}
	_, err = fmt.Fprint(conn, text+"\r\n")
	require.NoError(n.t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(n.t, err)
	require.Equal(n.t, http.StatusOK, res.StatusCode)
	require.Equal(n.t, sse.ContentType, res.Header.Get("Content-Type"))
	return &subscriber{n.t, conn, sse.NewReader(res.Body, 1<<20)}
}

// next returns the next event as "id name data", a comment as "".
func (s *subscriber) next() string {
	s.t.Helper()
	e, err := s.body.Next()
	require.NoError(s.t, err)
	return strings.TrimSpace(e.ID + " " + e.Name + " " + string(e.Data))
}

const app1 = `{"cluster":"c1","group":0,"name":"app1","address":"app1:8081","epoch":1,"version":7,"serving":true}`

func TestASubscriberIsToldThePresentAndThenWhatChanges(t *testing.T) {
	inNewsroom(t, func(t *testing.T, n *newsroom) {
		s := n.subscribe("")
		require.Equal(t, "3 primary "+app1, s.next(), "and no old history")
		n.fake.now(happened(4))
		require.Contains(t, s.next(), "4 history {\"id\":4,")
		n.fake.now(func(f *news) {
			happened(5, 6)(f)
			leads("app2", 2)(f)
		})
		require.Contains(t, s.next(), "5 history ")
		require.Contains(t, s.next(), "6 history ")
		require.Equal(t, "6 primary "+strings.NewReplacer("app1", "app2", `"epoch":1`, `"epoch":2`).Replace(app1), s.next())
		require.NoError(t, s.conn.Close())
	})
}

func TestASubscriberGoesOnWhereItWas(t *testing.T) {
	inNewsroom(t, func(t *testing.T, n *newsroom) {
		for _, s := range []*subscriber{n.subscribe("?since=1"), n.subscribe("?since=3", sse.HeaderLastID, "1")} {
			require.Equal(t, "1 primary "+app1, s.next())
			require.Contains(t, s.next(), "2 history ")
			require.Contains(t, s.next(), "3 history ")
			require.NoError(t, s.conn.Close())
		}
		// This monitor lags behind the one that told of 5.
		ahead := n.subscribe("?since=5")
		require.Equal(t, "5 primary "+app1, ahead.next())
		n.fake.now(happened(4, 5, 6))
		require.Contains(t, ahead.next(), "6 history ")
		require.NoError(t, ahead.conn.Close())
	})
}

func TestAQuietStreamShowsThatItLives(t *testing.T) {
	inNewsroom(t, func(t *testing.T, n *newsroom) {
		for query, every := range map[string]time.Duration{"": 10 * time.Second, "?keepalive=500ms": 500 * time.Millisecond} {
			s := n.subscribe(query)
			s.next()
			for range 3 {
				began := time.Now()
				require.Empty(t, s.next())
				require.Equal(t, every, time.Since(began))
			}
			require.NoError(t, s.conn.Close())
		}
	})
}

func TestSubscribersAreLetGoWhenTheMonitorStops(t *testing.T) {
	inNewsroom(t, func(t *testing.T, n *newsroom) {
		s := n.subscribe("")
		s.next()
		began := time.Now()
		n.fake.now(func(f *news) {
			happened(4)(f)
			f.changed = nil
		})
		n.stop()
		require.Contains(t, s.next(), "4 history ", "what is known is still told")
		_, err := s.body.Next()
		require.Error(t, err)
		require.Zero(t, time.Since(began), "nobody waits for the grace")
	})
}

func TestASubscriberThatDoesNotReadIsCut(t *testing.T) {
	inNewsroom(t, func(t *testing.T, n *newsroom) {
		s := n.subscribe("")
		s.next()
		began := time.Now()
		for id := uint64(4); ; id++ {
			n.fake.now(func(f *news) {
				f.history = []protocol.HistoryEvent{{ID: id, Detail: strings.Repeat("x", 1<<18)}}
			})
			synctest.Wait()
			time.Sleep(100 * time.Millisecond)
			if time.Since(began) > time.Minute {
				break
			}
			if _, err := s.conn.Write([]byte("x")); err != nil {
				break // the other end is closed
			}
		}
		require.GreaterOrEqual(t, time.Since(began), eventTimeout)
		require.Less(t, time.Since(began), eventTimeout+2*time.Second)
		require.NoError(t, s.conn.Close())
	})
}

func TestManySubscribers(t *testing.T) {
	inNewsroom(t, func(t *testing.T, n *newsroom) {
		var all []*subscriber
		for range 300 {
			s := n.subscribe("")
			s.next()
			all = append(all, s)
		}
		n.fake.now(happened(4))
		for _, s := range all {
			require.Contains(t, s.next(), "4 history ")
			require.NoError(t, s.conn.Close())
		}
		require.LessOrEqual(t, n.fake.asked, 650, "each asks once, and again after each change")
	})
}

func TestBadSubscriptions(t *testing.T) {
	for _, tt := range []struct{ query, words string }{
		{"?since=x", `since is "x": it is the id of an event`},
		{"?since=-1", "it is the id of an event"},
		{"?keepalive=10", "it is a duration from 100ms to 10s"},
		{"?keepalive=1ms", "it is a duration from 100ms to 10s"},
		{"?keepalive=1h", "it is a duration from 100ms to 10s"},
		{"?prefix=a", `there is no parameter "prefix" here`},
		{"?%", "cannot be read"},
	} {
		w := ask(t, newAPI(new(coordinator)), "GET", "/v1/events"+tt.query, "")
		requireProblem(t, w, 400, problem.BadRequest, tt.words)
	}
	w := ask(t, newAPI(new(coordinator)), "GET", "/v1/events", "", sse.HeaderLastID, "3.4")
	requireProblem(t, w, 400, problem.BadRequest, `Last-Event-ID is "3.4"`)
}

func TestTheHeadOfAStream(t *testing.T) {
	w := ask(t, newAPI(new(coordinator)), "HEAD", "/v1/events", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, sse.ContentType, w.Header().Get("Content-Type"))
	require.Empty(t, w.Body.String())
}
