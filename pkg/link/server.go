package link

import (
	"context"
	"net/http"
	"sync"

	"github.com/rs/zerolog"

	"understudy.example/pkg/frame"
	"understudy.example/pkg/problem"
)

// ServerOptions are what a [Server] may be given.
type ServerOptions struct {
	Log zerolog.Logger
}

// Server is a node's end of its links: an [http.Handler] for [Path], which
// serves requests by another. Its methods may be called at the same time.
//
// A panic of that handler ends the process, as everywhere: a broken invariant
// must not be served on. [http.ErrAbortHandler] ends its one answer.
type Server struct {
	handler http.Handler
	log     zerolog.Logger
	answers sync.Pool     // of *answer
	stop    chan struct{} // closed when the connections are to end
	ending  sync.Once     // of stop

	mu      sync.Mutex // guards the fields below
	conns   map[*serverConn]struct{}
	closing bool          // takes no more requests
	empty   chan struct{} // closed when it is closing and no connection is left
}

// NewServer returns a server of h, whose requests have the headers of
// [RequestHeaders] only. The body of a request is there as a whole before h is
// called, and its context ends when the caller's does, with the caller's
// deadline, and when the connection breaks.
//
// A ResponseWriter of the server can do nothing beyond that interface and
// [io.StringWriter]; it sends no informational answers.
func NewServer(h http.Handler, o ServerOptions) *Server {
	return &Server{
		handler: h, log: o.Log, stop: make(chan struct{}),
		conns: map[*serverConn]struct{}{}, empty: make(chan struct{}),
	}
}

// ServeHTTP takes the connection over and serves it to its end.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The requests of a link are not the one that opened it: what a router noted
	// in that one's context must not reach them.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := s.newConn(ctx, r)
	if !s.admit(c) {
		problem.Write(w, problem.Errorf(problem.NoPrimary, "this node is stopping"))
		return
	}
	defer s.remove(c)
	conn, in, err := frame.Accept(w, r, Protocol)
	if err != nil {
		s.log.Warn().Err(err).Msg("link not opened")
		return
	}
	c.open(conn, in)
	defer context.AfterFunc(r.Context(), func() { c.end(ErrClosed) })() // whoever serves the port has ended
	cause := c.serve(c.take)
	cancel()
	c.wait.Wait()
	s.log.Debug().Err(cause).Str("peer", r.RemoteAddr).Msg("link ended")
}

// Shutdown takes no more requests, lets those in flight end until ctx does, and
// closes the connections. It returns when nothing is left of them, and the
// context's error if requests had to be ended for it.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		s.checkEmpty()
	}
	for c := range s.conns {
		c.leave()
	}
	s.mu.Unlock()
	var err error
	select {
	case <-s.empty: // the first hops close what they no longer use
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.ending.Do(func() { close(s.stop) })
	<-s.empty
	return err
}

// Close ends all connections and waits for the handlers, whose contexts end.
func (s *Server) Close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Shutdown(ctx) // says only that it did not wait
}

// admit notes a connection that begins.
func (s *Server) admit(c *serverConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) remove(c *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.checkEmpty()
}

func (s *Server) checkEmpty() {
	if s.closing && len(s.conns) == 0 {
		close(s.empty)
	}
}
