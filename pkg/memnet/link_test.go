package memnet

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDelay(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		n.SetLink("a", "b", Link{Delay: 30 * time.Millisecond})
		n.SetLink("b", "a", Link{Delay: 10 * time.Millisecond})
		start := time.Now()
		a, b := connect(t, n)
		require.Equal(t, 40*time.Millisecond, time.Since(start), "a dial takes a round trip")

		start = time.Now()
		mustWrite(t, a, "x")
		require.Zero(t, time.Since(start))
		mustRead(t, b, "x")
		require.Equal(t, 30*time.Millisecond, time.Since(start))

		start = time.Now()
		_, err := n.Host("a").Dial(t.Context(), "tcp", "b:9")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.Equal(t, 40*time.Millisecond, time.Since(start), "so does a refusal")

		// A faster link does not let later bytes pass the earlier ones.
		mustWrite(t, a, "1")
		n.SetLink("a", "b", Link{})
		mustWrite(t, a, "2")
		mustRead(t, b, "12")

		// Nor does the end of the connection.
		n.SetLink("a", "b", Link{Delay: 30 * time.Millisecond})
		start = time.Now()
		require.NoError(t, a.Close())
		require.Equal(t, io.EOF, read(b))
		require.Equal(t, 30*time.Millisecond, time.Since(start))
	})
}

func TestJitterAndLossKeepTheirBounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	jittery := Link{Delay: 10 * time.Millisecond, Jitter: 5 * time.Millisecond}
	lossy := Link{Loss: 0.3}
	lost := 0
	for range 10_000 {
		d := jittery.transit(rng)
		require.GreaterOrEqual(t, d, 10*time.Millisecond)
		require.LessOrEqual(t, d, 15*time.Millisecond)
		if d := lossy.transit(rng); d > 0 {
			lost++
			require.GreaterOrEqual(t, d, retransmitAfter)
		}
	}
	require.InDelta(t, 3000, lost, 200)
	require.Equal(t, retransmitAfter*(1<<maxLosses-1), Link{Loss: 1}.transit(rng), "even a link that loses all is bounded")
}

func TestRate(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		n.SetLink("a", "b", Link{Rate: 1000})
		a, b := connect(t, n)
		start := time.Now()
		mustWrite(t, a, string(make([]byte, 5000)))
		require.NoError(t, read(b))
		require.Equal(t, 1400*time.Millisecond, time.Since(start), "bytes trickle in")
		_, err := io.ReadFull(b, make([]byte, 4999))
		require.NoError(t, err)
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

func TestCutHoldsBytesUntilHealed(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		n.SetLink("a", "b", Link{Delay: 10 * time.Millisecond})
		a, b := connect(t, n)
		mustWrite(t, a, "arrived")
		time.Sleep(10 * time.Millisecond)
		mustWrite(t, a, " under way")
		n.Cut("a", "b")
		mustRead(t, b, "arrived")
		mustWrite(t, a, " later")
		require.NoError(t, a.Close())

		require.NoError(t, b.SetReadDeadline(time.Now().Add(time.Hour)))
		require.ErrorIs(t, read(b), os.ErrDeadlineExceeded, "not even the end comes through")
		mustWrite(t, b, "the other way is open")

		require.NoError(t, b.SetReadDeadline(time.Time{}))
		start := time.Now()
		n.Heal("a", "b")
		mustRead(t, b, " under way later")
		require.Equal(t, io.EOF, read(b))
		require.Equal(t, 10*time.Millisecond, time.Since(start))
	})
}

func TestCutIsOneWay(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := connect(t, n)
		n.Cut("a", "b")
		mustWrite(t, b, "x")
		mustRead(t, a, "x")
		n.HealBoth("a", "b")
		n.CutBoth("a", "b")
		mustWrite(t, b, "y")
		require.NoError(t, a.SetReadDeadline(time.Now().Add(time.Second)))
		require.ErrorIs(t, read(a), os.ErrDeadlineExceeded)
	})
}

func TestDialWaitsWhileEitherWayIsCut(t *testing.T) {
	for _, way := range []path{{"a", "b"}, {"b", "a"}} {
		t.Run(way.from+" to "+way.to, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *Net) {
				ln, err := n.Host("b").Listen(t.Context(), "b:1")
				require.NoError(t, err)
				n.Cut(way.from, way.to)
				for _, address := range []string{"b:1", "b:2"} {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					_, err = n.Host("a").Dial(ctx, "tcp", address)
					cancel()
					require.ErrorIs(t, err, context.DeadlineExceeded, "neither an answer nor a refusal")
				}
				dialled := make(chan error, 1)
				go func() { _, err := n.Host("a").Dial(t.Context(), "tcp", "b:1"); dialled <- err }()
				synctest.Wait()
				require.Empty(t, dialled)
				n.HealAll()
				require.NoError(t, <-dialled)
				_, err = ln.Accept()
				require.NoError(t, err)
			})
		})
	}
}

func TestHostIsNeverCutFromItself(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		ln, err := n.Host("a").Listen(t.Context(), "a:1")
		require.NoError(t, err)
		n.CutBoth("a", "a")
		c, err := n.Host("a").Dial(t.Context(), "tcp", "a:1")
		require.NoError(t, err)
		s, err := ln.Accept()
		require.NoError(t, err)
		mustWrite(t, c, "x")
		mustRead(t, s, "x")
	})
}

func TestEndReachesAWriterWhenItArrives(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		n.SetLink("b", "a", Link{Delay: time.Second})
		a, b := connect(t, n)
		blocked := make(chan error, 1)
		go func() { _, err := a.Write(make([]byte, bufferSize+1)); blocked <- err }()
		synctest.Wait()
		start := time.Now()
		require.NoError(t, b.Close())
		require.ErrorIs(t, <-blocked, syscall.EPIPE)
		require.Equal(t, time.Second, time.Since(start), "a writer learns of it when the word has come")
	})
}
