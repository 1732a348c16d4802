package daemon

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/pkg/caller"
)

const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// HTTPOptions says what [Serve] serves and how it stops.
type HTTPOptions struct {
	Handler http.Handler
	// ConnState and ConnContext are as in [http.Server]; nil for none.
	ConnState   func(net.Conn, http.ConnState)
	ConnContext func(ctx context.Context, c net.Conn) context.Context
	Log         zerolog.Logger
	// Grace bounds how long requests under way may go on after the context has
	// ended. Then their connections are closed.
	Grace time.Duration
}

// Serve answers HTTP on ln until ctx ends, and then gives the requests under
// way the grace to finish. It owns ln and closes it. It returns nil when it
// was asked to stop. Connections that a handler has hijacked are the handler's
// own affair.
func Serve(ctx context.Context, ln net.Listener, opts HTTPOptions) error {
	// Requests outlive ctx by the grace, and no longer.
	requests, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	srv := &http.Server{
		Handler:           crashing(opts.Handler),
		ConnState:         opts.ConnState,
		ConnContext:       opts.ConnContext,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          stdlog.New(errorLog{opts.Log}, "", 0),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       caller.BodyPatience, // a handler may give more by caller.Body
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }() // ends with Shutdown or Close below
	select {
	case err := <-ended:
		return errors.Join(err, srv.Close())
	case <-ctx.Done():
	}
	stop(srv, opts.Grace)
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// crashing lets a panic in a handler end the process, as anywhere else. net/http
// would recover it, and leave whatever the handler held half done: a broken
// invariant must not be served on.
func crashing(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			stack := debug.Stack()
			go panic(fmt.Sprintf("%v\n\n%s", v, stack)) // out of reach of net/http's recover
			select {}                                   // the process ends
		}()
		h.ServeHTTP(w, r)
	})
}

func stop(srv *http.Server, grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		_ = srv.Close() // the grace is over; nobody waits for these connections any more
	}
}

// errorLog passes what net/http has to say on to the daemon's log.
type errorLog struct{ log zerolog.Logger }

func (e errorLog) Write(line []byte) (int, error) {
	n := len(line)
	for n > 0 && line[n-1] == '\n' {
		n--
	}
	e.log.Warn().Str("error", string(line[:n])).Msg("http connection failed")
	return len(line), nil
}
