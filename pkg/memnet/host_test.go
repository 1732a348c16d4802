package memnet

import (
	"context"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestListen(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		h := n.Host("a")
		require.Equal(t, "a", h.Name())
		ln, err := h.Listen(t.Context(), "a:80")
		require.NoError(t, err)
		require.Equal(t, "a:80", ln.Addr().String())
		require.Equal(t, "tcp", ln.Addr().Network())
		_, err = h.Listen(t.Context(), "a:80")
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		_, err = h.Listen(t.Context(), "b:80")
		require.ErrorIs(t, err, syscall.EADDRNOTAVAIL)
		free, err := h.Listen(t.Context(), "a:0")
		require.NoError(t, err)
		require.NotEqual(t, "a:0", free.Addr().String())

		accepted := make(chan error, 1)
		go func() { _, err := ln.Accept(); accepted <- err }()
		synctest.Wait()
		require.NoError(t, ln.Close())
		require.ErrorIs(t, <-accepted, net.ErrClosed)
		require.ErrorIs(t, ln.Close(), net.ErrClosed)
		_, err = h.Listen(t.Context(), "a:80")
		require.NoError(t, err, "a closed port is free")
	})
}

func TestFullBacklogMakesDialsWait(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		ln, err := n.Host("b").Listen(t.Context(), "b:1")
		require.NoError(t, err)
		for range backlog {
			_, err := n.Host("a").Dial(t.Context(), "tcp", "b:1")
			require.NoError(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = n.Host("a").Dial(ctx, "tcp", "b:1")
		require.ErrorIs(t, err, context.DeadlineExceeded)

		dialled := make(chan error, 1)
		go func() { _, err := n.Host("a").Dial(t.Context(), "tcp", "b:1"); dialled <- err }()
		synctest.Wait()
		_, err = ln.Accept()
		require.NoError(t, err)
		require.NoError(t, <-dialled)

		go func() { _, err := n.Host("a").Dial(t.Context(), "tcp", "b:1"); dialled <- err }()
		synctest.Wait()
		require.NoError(t, ln.Close())
		require.ErrorIs(t, <-dialled, syscall.ECONNREFUSED)
	})
}

func TestClosedListenerResetsWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		ln, err := n.Host("b").Listen(t.Context(), "b:1")
		require.NoError(t, err)
		c, err := n.Host("a").Dial(t.Context(), "tcp", "b:1")
		require.NoError(t, err)
		require.NoError(t, ln.Close())
		require.ErrorIs(t, read(c), syscall.ECONNRESET)
	})
}

func TestCrash(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		old := n.Host("b")
		a, b := connect(t, n)
		ln, err := old.Listen(t.Context(), "b:2")
		require.NoError(t, err)
		mustWrite(t, b, "last words")
		n.Crash("b")
		n.Crash("b") // of nobody: nothing happens

		mustRead(t, a, "last words")
		require.Equal(t, io.EOF, read(a))
		_, err = a.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
		_, err = n.Host("a").Dial(t.Context(), "tcp", "b:2")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)

		// The dead process gets nothing done any more; the next one does.
		require.ErrorIs(t, read(b), net.ErrClosed)
		_, err = ln.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = old.Dial(t.Context(), "tcp", "a:1")
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = old.Listen(t.Context(), "b:2")
		require.ErrorIs(t, err, net.ErrClosed)
		require.NotSame(t, old, n.Host("b"))
		_, err = n.Host("b").Listen(t.Context(), "b:2")
		require.NoError(t, err)
	})
}

func TestCrashWithUnreadBytesResets(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, _ := connect(t, n)
		mustWrite(t, a, "never read")
		n.Crash("b")
		require.ErrorIs(t, read(a), syscall.ECONNRESET)
	})
}

func TestCrashEndsADialUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		n.Cut("a", "b")
		done := make(chan error, 1)
		h := n.Host("a")
		go func() { _, err := h.Dial(t.Context(), "tcp", "b:1"); done <- err }()
		synctest.Wait()
		n.Crash("a")
		require.ErrorIs(t, <-done, net.ErrClosed)
	})
}

func TestFreeze(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := connect(t, n)
		ln, err := n.Host("b").Listen(t.Context(), "b:2")
		require.NoError(t, err)
		mustWrite(t, a, "held")
		n.Freeze("b")

		late, err := n.Host("a").Dial(t.Context(), "tcp", "b:2")
		require.NoError(t, err, "the kernel takes connections for a stopped process")
		mustWrite(t, late, "hello")
		accepted := make(chan net.Conn, 1)
		go func() { c, _ := ln.Accept(); accepted <- c }()
		got := make(chan string, 1)
		go func() { buf := make([]byte, 4); k, _ := b.Read(buf); got <- string(buf[:k]) }()
		wrote := make(chan error, 1)
		go func() { _, err := b.Write([]byte("answer")); wrote <- err }()
		dialled := make(chan error, 1)
		go func() { _, err := n.Host("b").Dial(t.Context(), "tcp", "b:2"); dialled <- err }()
		require.NoError(t, a.SetReadDeadline(time.Now().Add(time.Hour)))
		require.Error(t, read(a), "a stopped process answers nothing")
		require.NoError(t, a.SetReadDeadline(time.Time{}))
		require.Empty(t, accepted)
		require.Empty(t, got)
		require.Empty(t, wrote)
		require.Empty(t, dialled)

		n.Unfreeze("b")
		require.Equal(t, "held", <-got)
		require.NoError(t, <-wrote)
		require.NoError(t, <-dialled)
		mustRead(t, <-accepted, "hello")
		mustRead(t, a, "answer")
	})
}

func TestFrozenHostKeepsItsEndOfConnectionsBack(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := connect(t, n)
		n.Freeze("b")
		require.NoError(t, b.Close())
		require.ErrorIs(t, read(b), net.ErrClosed)
		require.NoError(t, a.SetReadDeadline(time.Now().Add(time.Minute)))
		require.NotEqual(t, io.EOF, read(a))
		require.NoError(t, a.SetReadDeadline(time.Time{}))
		n.Unfreeze("b")
		require.Equal(t, io.EOF, read(a))
	})
}

func TestCrashOfAFrozenHostEndsItsCalls(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := connect(t, n)
		n.Freeze("b")
		done := make(chan error, 2)
		go func() { done <- read(b) }()
		go func() { done <- b.(*conn).CloseWrite() }()
		synctest.Wait()
		require.Empty(t, done)
		n.Crash("b")
		require.ErrorIs(t, <-done, net.ErrClosed)
		require.ErrorIs(t, <-done, net.ErrClosed)
		require.Equal(t, io.EOF, read(a))
	})
}

func TestPowerOff(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		n.SetLink("b", "a", Link{Delay: 10 * time.Millisecond})
		a, b := connect(t, n)
		mustWrite(t, b, "arrives")
		time.Sleep(10 * time.Millisecond)
		mustWrite(t, b, " lost")
		n.PowerOff("b")
		n.PowerOff("b") // of nobody: nothing happens
		require.ErrorIs(t, read(b), net.ErrClosed)

		mustRead(t, a, "arrives")
		mustWrite(t, a, "to nobody")
		require.NoError(t, a.SetReadDeadline(time.Now().Add(time.Hour)))
		require.NotErrorIs(t, read(a), syscall.ECONNRESET, "a machine without power says nothing")
		require.NoError(t, a.SetReadDeadline(time.Time{}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := n.Host("a").Dial(ctx, "tcp", "b:1")
		require.ErrorIs(t, err, context.DeadlineExceeded)

		dialled := make(chan error, 1)
		go func() { _, err := n.Host("a").Dial(t.Context(), "tcp", "b:1"); dialled <- err }()
		synctest.Wait()
		_, err = n.Host("b").Listen(t.Context(), "b:1")
		require.NoError(t, err)
		require.NoError(t, <-dialled)
		require.ErrorIs(t, read(a), syscall.ECONNRESET, "the next process knows no such connection")
	})
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		a, b := connect(t, n)
		ln, err := n.Host("b").Listen(t.Context(), "b:1")
		require.NoError(t, err)
		n.Freeze("b")
		n.Cut("a", "c")
		done := make(chan error, 4)
		go func() { done <- read(a) }()
		go func() { done <- read(b) }()
		go func() { _, err := ln.Accept(); done <- err }()
		h := n.Host("a")
		go func() { _, err := h.Dial(t.Context(), "tcp", "c:1"); done <- err }()
		synctest.Wait()
		n.Close()
		for range 4 {
			require.ErrorIs(t, <-done, net.ErrClosed)
		}
		require.Zero(t, n.Open())
	})
}
