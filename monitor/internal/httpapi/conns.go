package httpapi

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// conns gives every connection of the server a token, so that a heartbeat can
// be told to have come on the same connection as another.
type conns struct {
	tokens sync.Map // net.Conn → *token, while the connection is open
}

// token stands for one connection.
type token struct{ beats atomic.Bool } // it has carried a heartbeat

type tokenKey struct{}

// ConnContext is for [http.Server].ConnContext.
func (c *conns) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	t := new(token)
	c.tokens.Store(conn, t)
	return context.WithValue(ctx, tokenKey{}, t)
}

// ConnState is for [http.Server].ConnState. It tells ConnClosed of the end of a
// connection that carried heartbeats, once.
func (a *API) ConnState(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	v, ok := a.tokens.LoadAndDelete(conn)
	if !ok || a.closed == nil || state == http.StateHijacked {
		return
	}
	if t := v.(*token); t.beats.Load() {
		a.closed(t)
	}
}

// heartbeatConn returns the token of the connection that r came on and marks
// it. Without one, in a server that does not use ConnContext, it is nil.
func heartbeatConn(r *http.Request) any {
	t, ok := r.Context().Value(tokenKey{}).(*token)
	if !ok {
		return nil
	}
	t.beats.Store(true)
	return t
}
