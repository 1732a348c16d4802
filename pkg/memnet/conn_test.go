package memnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// connect returns the two ends of a connection from a to b:1.
func connect(t *testing.T, n *Net) (client, server net.Conn) {
	t.Helper()
	ln, err := n.Host("b").Listen(t.Context(), "b:1")
	require.NoError(t, err)
	defer ln.Close()
	client, err = n.Host("a").Dial(t.Context(), "tcp", "b:1")
	require.NoError(t, err)
	server, err = ln.Accept()
	require.NoError(t, err)
	return client, server
}

// bubble runs f in a bubble with a network that is closed, and empty, afterwards.
func bubble(t *testing.T, f func(t *testing.T, n *Net)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		f(t, n)
		n.Close()
		require.Zero(t, n.Open())
	})
}

func mustWrite(t *testing.T, c net.Conn, s string) {
	t.Helper()
	k, err := c.Write([]byte(s))
	require.NoError(t, err)
	require.Equal(t, len(s), k)
}

func mustRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	require.Equal(t, want, string(b))
}

// read returns the error of one read.
func read(c net.Conn) error {
	_, err := c.Read(make([]byte, 1))
	return err
}

func TestConnCarriesBytesBothWays(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := connect(t, n)
		require.Equal(t, "b:1", a.RemoteAddr().String())
		require.Equal(t, a.LocalAddr(), b.RemoteAddr())
		mustWrite(t, a, "ping")
		mustRead(t, b, "pi")
		mustRead(t, b, "ng")
		mustWrite(t, b, "pong")
		mustRead(t, a, "pong")
		require.NoError(t, a.Close())
		require.Equal(t, io.EOF, read(b))
		require.NoError(t, b.Close())
		require.Zero(t, n.Open())
	})
}

func TestConnLargeTransfer(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		n.SetLink("a", "b", Link{Delay: 3 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.3})
		a, b := connect(t, n)
		sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
		wrote := make(chan error, 1)
		go func() {
			_, err := a.Write(sent)
			wrote <- errors.Join(err, a.(*conn).CloseWrite())
		}()
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.NoError(t, <-wrote)
		require.True(t, bytes.Equal(sent, got))
	})
}

func TestWritesOfSeveralGoroutinesDoNotInterleave(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := connect(t, n)
		const size = 100_000 // several segments
		wrote := make(chan error, 8)
		for i := range 8 {
			go func() { _, err := a.Write(bytes.Repeat([]byte{byte(i)}, size)); wrote <- err }()
		}
		block := make([]byte, size)
		for range 8 {
			_, err := io.ReadFull(b, block)
			require.NoError(t, err)
			require.Equal(t, size, bytes.Count(block, block[:1]))
		}
		for range 8 {
			require.NoError(t, <-wrote)
		}
	})
}

func TestWriterWaitsForReader(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := connect(t, n)
		require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Second)))
		k, err := a.Write(make([]byte, bufferSize+1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, bufferSize, k)

		require.NoError(t, a.SetWriteDeadline(time.Time{}))
		done := make(chan error, 1)
		go func() { _, err := a.Write([]byte("x")); done <- err }()
		synctest.Wait()
		require.Empty(t, done)
		require.NoError(t, read(b))
		require.NoError(t, <-done)
	})
}

func TestDeadlines(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := connect(t, n)
		start := time.Now()
		require.NoError(t, a.SetReadDeadline(start.Add(70*time.Millisecond)))
		err := read(a)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 70*time.Millisecond, time.Since(start))
		nerr, ok := errors.AsType[net.Error](err)
		require.True(t, ok && nerr.Timeout())

		mustWrite(t, b, "x")
		require.ErrorIs(t, read(a), os.ErrDeadlineExceeded, "a deadline comes before data")
		require.NoError(t, a.SetDeadline(time.Time{}))
		require.NoError(t, read(a))

		done := make(chan error, 1)
		go func() { done <- read(a) }()
		synctest.Wait()
		require.NoError(t, a.SetReadDeadline(time.Now()))
		require.ErrorIs(t, <-done, os.ErrDeadlineExceeded, "a deadline ends the read under way")
	})
}

func TestHalfClose(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := connect(t, n)
		mustWrite(t, a, "request")
		require.NoError(t, a.(*conn).CloseWrite())
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "request", string(got))
		_, err = a.Write([]byte("more"))
		require.ErrorIs(t, err, syscall.EPIPE)
		mustWrite(t, b, "answer")
		mustRead(t, a, "answer")

		require.NoError(t, b.(*conn).CloseRead())
		require.Equal(t, io.EOF, read(b))
	})
}

func TestCloseEndsCallsOfBothEnds(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := connect(t, n)
		own, theirs := make(chan error, 1), make(chan error, 1)
		go func() { own <- read(a) }()
		go func() { _, err := b.Write(make([]byte, 2*bufferSize)); theirs <- err }()
		synctest.Wait()
		// b's writer waits for space; a's reader took one byte, so that Close finds
		// bytes unread and resets.
		require.NoError(t, <-own)
		require.NoError(t, a.Close())
		require.ErrorIs(t, <-theirs, syscall.EPIPE)
		require.ErrorIs(t, read(b), syscall.ECONNRESET)

		require.ErrorIs(t, read(a), net.ErrClosed)
		_, err := a.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, a.Close(), net.ErrClosed)
		require.ErrorIs(t, a.SetDeadline(time.Now()), net.ErrClosed)
		require.ErrorIs(t, a.(*conn).CloseWrite(), net.ErrClosed)
	})
}

func TestLingerZeroResets(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := connect(t, n)
		mustWrite(t, a, "last")
		require.NoError(t, a.(*conn).SetLinger(0))
		require.NoError(t, a.Close())
		mustRead(t, b, "last")
		require.ErrorIs(t, read(b), syscall.ECONNRESET)
	})
}

func TestResetEndsBothEndsThroughACut(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := connect(t, n)
		other, _ := n.Host("c").Listen(t.Context(), "c:1")
		stays, err := n.Host("a").Dial(t.Context(), "tcp", "c:1")
		require.NoError(t, err)
		n.CutBoth("a", "b")
		done := make(chan error, 2)
		go func() { done <- read(a) }()
		go func() { done <- read(b) }()
		synctest.Wait()
		n.Reset("b", "a")
		require.ErrorIs(t, <-done, syscall.ECONNRESET)
		require.ErrorIs(t, <-done, syscall.ECONNRESET)
		_, err = a.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.NoError(t, a.Close())
		mustWrite(t, stays, "x")
		require.NoError(t, other.Close())
	})
}

func TestDialErrors(t *testing.T) {
	for name, c := range map[string]struct {
		network, address string
		want             error
	}{
		"nobody listens":  {"tcp", "b:2", syscall.ECONNREFUSED},
		"no such host":    {"tcp", "zz:1", syscall.ECONNREFUSED},
		"another network": {"udp", "b:1", net.UnknownNetworkError("udp")},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *Net) {
				_, err := n.Host("b").Listen(t.Context(), "b:1")
				require.NoError(t, err)
				_, err = n.Host("a").Dial(t.Context(), c.network, c.address)
				require.ErrorIs(t, err, c.want)
				op, ok := errors.AsType[*net.OpError](err)
				require.True(t, ok)
				require.Equal(t, "dial", op.Op)
			})
		})
	}
}

func TestDialNeedsAPort(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		_, err := n.Host("a").Dial(t.Context(), "tcp", "b")
		require.ErrorContains(t, err, "missing port")
		_, err = n.Host("a").Listen(t.Context(), "a")
		require.ErrorContains(t, err, "missing port")
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = n.Host("a").Dial(over, "tcp", "b:1")
		require.ErrorIs(t, err, context.Canceled)
	})
}
