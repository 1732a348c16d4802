package api

import (
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/memnet"
)

// bubble is a place where time passes only while everybody waits, so that nothing
// is late because the machine is busy.
type bubble struct {
	t   *testing.T
	net *memnet.Net
}

// inBubble runs a test in a bubble. What hangs in it is to be released by then.
func inBubble(t *testing.T, test func(t *testing.T, b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{t, memnet.New(1)}
		test(t, b)
	})
}

// monitor runs a fake monitor on a host of the name and returns its host:port.
func (b *bubble) monitor(name string, h http.HandlerFunc) string {
	b.t.Helper()
	address := net.JoinHostPort(name, "8080")
	ln, err := b.net.Host(name).Listen(b.t.Context(), address)
	require.NoError(b.t, err)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(ln) })
	b.t.Cleanup(func() {
		_ = srv.Close()
		serving.Wait()
		time.Sleep(time.Second) // net/http lingers after an answer that ends its connection
	})
	return address
}

func (b *bubble) client(timeout time.Duration, monitors ...string) *Client {
	c := client(b.t, timeout, monitors...)
	c.http.Transport.(*http.Transport).DialContext = b.net.Host("client").Dial
	return c
}
