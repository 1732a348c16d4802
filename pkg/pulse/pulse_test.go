package pulse

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/frame"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// monitor is one that a test has answer as it likes.
type monitor struct {
	mu     sync.Mutex // guards the fields below
	taken  []string
	answer func() (*wire.Assignment, error)
	opened int
	ended  chan struct{}
}

func (m *monitor) take(heartbeat []byte) (*wire.Assignment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken = append(m.taken, string(heartbeat))
	return m.answer()
}

func (m *monitor) answers(word *wire.Assignment, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = func() (*wire.Assignment, error) { return word, err }
}

func (m *monitor) connections() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.opened
}

// serve returns a monitor and the end of a node that sends to it.
func serve(t *testing.T) (*monitor, *Sender, *httptest.Server) {
	t.Helper()
	m := &monitor{ended: make(chan struct{}, 100)}
	taker := new(Taker)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.opened++
		m.mu.Unlock()
		if taker.Serve(w, r, m.take) {
			m.ended <- struct{}{}
		}
	}))
	t.Cleanup(server.Close)
	s := &Sender{Dial: new(net.Dialer).DialContext, Monitor: strings.TrimPrefix(server.URL, "http://"), Timeout: time.Second}
	t.Cleanup(s.Close)
	return m, s, server
}

func TestTheWordComesOnceAndThenByName(t *testing.T) {
	m, s, _ := serve(t)
	word := &wire.Assignment{V: wire.Format, Cluster: "c-1", Leads: true}
	m.answers(word, nil)
	first, err := s.Send(t.Context(), []byte("one"))
	require.NoError(t, err)
	require.Equal(t, word, first)
	again, err := s.Send(t.Context(), []byte("two"))
	require.NoError(t, err)
	require.Same(t, first, again, "nothing was sent anew")
	m.answers(&wire.Assignment{V: wire.Format, Cluster: "c-2"}, nil)
	other, err := s.Send(t.Context(), []byte("three"))
	require.NoError(t, err)
	require.Equal(t, "c-2", other.Cluster)
	require.Equal(t, []string{"one", "two", "three"}, m.taken)
	require.Equal(t, 1, m.connections())
}

func TestARefusalKeepsTheConnection(t *testing.T) {
	m, s, _ := serve(t)
	m.answers(nil, problem.Errorf(problem.DuplicateNode, "another is alive"))
	_, err := s.Send(t.Context(), []byte("one"))
	require.Equal(t, problem.DuplicateNode, problem.CodeOf(err))
	require.EqualError(t, err, "another is alive")
	m.answers(&wire.Assignment{Cluster: "c-1"}, nil)
	_, err = s.Send(t.Context(), []byte("two"))
	require.NoError(t, err)
	require.Equal(t, 1, m.connections())
}

func TestAnErrorWithoutACodeEndsTheConnection(t *testing.T) {
	m, s, _ := serve(t)
	m.answers(nil, errors.New("the monitor is stopping"))
	_, err := s.Send(t.Context(), []byte("one"))
	require.Error(t, err)
	<-m.ended
}

func TestAConnectionThatWasClosedIsReplacedAtOnce(t *testing.T) {
	m, s, server := serve(t)
	m.answers(&wire.Assignment{Cluster: "c-1"}, nil)
	_, err := s.Send(t.Context(), []byte("one"))
	require.NoError(t, err)
	server.CloseClientConnections()
	require.NoError(t, s.conn.Close()) // the server does not know of it any more
	<-m.ended
	word, err := s.Send(t.Context(), []byte("two"))
	require.NoError(t, err)
	require.Equal(t, "c-1", word.Cluster, "a new connection begins without a word")
	require.Equal(t, 2, m.connections())
}

func TestTheEndOfANodeIsTheEndOfServe(t *testing.T) {
	m, s, _ := serve(t)
	m.answers(&wire.Assignment{}, nil)
	ctx, stop := context.WithCancel(t.Context())
	_, err := s.Send(ctx, []byte("one"))
	require.NoError(t, err)
	stop()
	<-m.ended
	_, err = s.Send(ctx, []byte("two"))
	require.Error(t, err)
}

// silent accepts connections and says nothing on them.
func silent(t *testing.T) *Sender {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	s := &Sender{Dial: new(net.Dialer).DialContext, Monitor: l.Addr().String(), Timeout: 50 * time.Millisecond}
	t.Cleanup(s.Close)
	return s
}

func TestASilentMonitorIsGivenUp(t *testing.T) {
	began := time.Now()
	_, err := silent(t).Send(t.Context(), []byte("one"))
	require.Error(t, err)
	require.Less(t, time.Since(began), time.Second)
}

func TestAHungAnswerIsWaitedForOnce(t *testing.T) {
	m, s, _ := serve(t)
	m.answers(&wire.Assignment{}, nil)
	_, err := s.Send(t.Context(), []byte("one"))
	require.NoError(t, err)
	hang := make(chan struct{})
	defer close(hang)
	m.mu.Lock()
	m.answer = func() (*wire.Assignment, error) { <-hang; return nil, errors.New("too late") }
	m.mu.Unlock()
	s.Timeout = 50 * time.Millisecond
	_, err = s.Send(t.Context(), []byte("two"))
	require.ErrorContains(t, err, "timeout")
	require.Nil(t, s.conn)
}

func TestAnotherProtocolIsRefused(t *testing.T) {
	_, s, server := serve(t)
	conn, _, err := frame.Dial(t.Context(), s.Dial, s.Monitor, "/", "understudy-heartbeat-9")
	require.Equal(t, problem.UnsupportedVersion, problem.CodeOf(err))
	require.Nil(t, conn)
	server.Close()
	_, err = s.Send(t.Context(), []byte("one"))
	require.Error(t, err, "nobody listens")
}

func FuzzAnswer(f *testing.F) {
	text, err := json.Marshal(&wire.Assignment{V: wire.Format, Cluster: "c-1"})
	require.NoError(f, err)
	f.Add(byte(frameWord), text)
	f.Add(byte(frameSame), []byte(nil))
	f.Add(byte(frameRefused), []byte(`{"code":"duplicate_node","detail":"no"}`))
	f.Add(byte(99), []byte("{}"))
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		s := &Sender{Monitor: "m1"}
		word, err := s.take(frame.Type(kind), payload)
		require.NotEqual(t, word == nil, err == nil, "a word or an error")
	})
}
