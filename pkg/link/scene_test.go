package link

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/frame"
	"understudy.example/pkg/memnet"
)

const address = "b:80"

// scene is a client at host a and a server at host b, in a bubble: when play
// returns, no goroutine of either is left.
type scene struct {
	*Client
	t      *testing.T
	net    *memnet.Net
	server *Server
}

// play runs fn with a server of h.
func play(t *testing.T, h http.HandlerFunc, fn func(t *testing.T, s *scene)) {
	t.Helper()
	perform(t, func() http.Handler { return NewServer(h, ServerOptions{}) }, fn)
}

// playNode runs fn with a node of the test's own.
func playNode(t *testing.T, node func(conn net.Conn, in *bufio.Reader), fn func(t *testing.T, s *scene)) {
	t.Helper()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, in, err := frame.Accept(w, r, Protocol)
		if err != nil {
			return
		}
		defer conn.Close()
		node(conn, in)
	})
	perform(t, func() http.Handler { return h }, fn)
}

func perform(t *testing.T, node func() http.Handler, fn func(t *testing.T, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h, n := node(), memnet.New(1)
		ln, err := n.Host("b").Listen(t.Context(), address)
		require.NoError(t, err)
		srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
		var wait sync.WaitGroup
		wait.Go(func() { _ = srv.Serve(ln) })
		s := &scene{t: t, net: n, Client: NewClient(ClientOptions{Dial: n.Host("a").Dial, Address: address})}
		s.server, _ = h.(*Server)
		defer func() { // also when fn fails
			s.Client.Close()
			if s.server != nil {
				s.server.Close()
			}
			_ = srv.Close()
			wait.Wait()
			n.Close()
		}()
		fn(t, s)
	})
}

// only lets the client have one connection.
func (s *scene) only() {
	s.Client.Close()
	s.Client = NewClient(ClientOptions{Dial: s.net.Host("a").Dial, Address: address, Conns: 1})
}

// settled tells whether nothing is in flight at the client any more.
func (s *scene) settled() bool { return settled(s.Client) }

func settled(c *Client) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.slots {
		if conn := c.slots[i].conn; conn != nil && !conn.settled() {
			return false
		}
	}
	return true
}

func (c *clientConn) settled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.exchanges) == 0 && c.held == 0 && c.inFlight.Load() == 0
}

// get asks for a target without a body.
func (s *scene) get(target string) (*Response, error) {
	return s.Do(s.t.Context(), &Request{Method: http.MethodGet, Target: target})
}

// peer is a first hop of the test's own.
type peer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (s *scene) peer() *peer {
	conn, in, err := frame.Dial(s.t.Context(), s.net.Host("a").Dial, address, Path, Protocol)
	require.NoError(s.t, err)
	return &peer{s.t, conn, in}
}

func (p *peer) write(frames []byte) {
	_, err := p.conn.Write(frames)
	require.NoError(p.t, err)
}

func (p *peer) read() (frame.Type, []byte) {
	h, payload, err := frame.Read(p.in, nil)
	require.NoError(p.t, err)
	return h.Type, payload
}

// requestFrame is a request whose frame holds so many bytes of the body.
func requestFrame(number uint64, r *Request, bytes int) []byte {
	b, err := appendRequest(begin(nil), r, 0)
	if err != nil {
		panic(err)
	}
	head := len(b)
	b = append(b, r.Body[:bytes]...)
	seal(b, frameRequest, number, head)
	return b
}

// answerFrame is an answer of status 200.
func answerFrame(t frame.Type, number uint64, h http.Header, body []byte) []byte {
	b, _ := appendAnswerHeader(append(begin(nil), 0xc8, 1), h)
	head := len(b)
	b = append(b, body...)
	seal(b, t, number, head)
	return b
}

// numberOf returns the number that a payload begins with.
func numberOf(t *testing.T, payload []byte) uint64 {
	t.Helper()
	n, _, err := cutNumber(payload)
	require.NoError(t, err)
	return n
}

// pattern is a body that shows where bytes are lost or swapped.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

// whole returns the body of an answer.
func whole(t *testing.T, res *Response) []byte {
	t.Helper()
	if res.Rest == nil {
		return res.Body
	}
	rest, err := io.ReadAll(res.Rest)
	require.NoError(t, err)
	require.NoError(t, res.Rest.Close())
	return append(res.Body, rest...)
}

// limited returns a context that ends after d.
func limited(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
