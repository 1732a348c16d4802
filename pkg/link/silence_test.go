package link

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/frame"
)

// within checks a time that is judged in ticks.
func within(t *testing.T, ticks int, start time.Time) {
	t.Helper()
	took := time.Since(start)
	require.GreaterOrEqual(t, took, time.Duration(ticks)*tick-tick)
	require.LessOrEqual(t, took, time.Duration(ticks)*tick+tick+100*time.Millisecond)
}

func TestSilentNodeIsGivenUp(t *testing.T) {
	playNode(t, func(_ net.Conn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) }, func(t *testing.T, s *scene) {
		start := time.Now()
		_, err := s.get("/")
		require.ErrorIs(t, err, ErrLost)
		require.ErrorIs(t, err, errSilent)
		within(t, silentTicks, start)
	})
}

func TestPoweredOffNodeIsNoticed(t *testing.T) {
	play(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(t *testing.T, s *scene) {
		time.AfterFunc(100*time.Millisecond, func() { s.net.PowerOff("b") })
		start := time.Now()
		_, err := s.get("/")
		require.ErrorIs(t, err, errSilent)
		within(t, silentTicks, start)
	})
}

// A request that takes long is no reason to give the node up: it answers pings.
func TestBusyNodeIsWaitedFor(t *testing.T) {
	play(t, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) }, func(t *testing.T, s *scene) {
		_, err := s.get("/")
		require.NoError(t, err)
	})
}

func TestSilentFirstHopIsGivenUp(t *testing.T) {
	ended := make(chan error, 1)
	play(t, func(w http.ResponseWriter, r *http.Request) { waiting(ended)(w, r) }, func(t *testing.T, s *scene) {
		ended = make(chan error, 1)
		p := s.peer()
		p.write(requestFrame(1, &Request{Method: http.MethodGet, Target: "/"}, 0))
		start := time.Now()
		require.ErrorIs(t, <-ended, context.Canceled)
		within(t, silentTicks, start)
	})
}

// A first hop that talks but does not read is cut.
func TestStuckFirstHopIsGivenUp(t *testing.T) {
	play(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(pattern(FirstPart)) }, func(t *testing.T, s *scene) {
		p := s.peer()
		p.write(requestFrame(1, &Request{Method: http.MethodGet, Target: "/"}, 0))
		start := time.Now()
		for {
			time.Sleep(50 * time.Millisecond)
			if _, err := p.conn.Write(frame.Append(nil, framePong, 0, nil)); err != nil {
				break
			}
		}
		within(t, stuckTicks, start)
	})
}

func TestNothingIsSaidOnAnIdleConnection(t *testing.T) {
	play(t, echo, func(t *testing.T, s *scene) {
		_, err := s.get("/")
		require.NoError(t, err)
		heard := s.slots[0].conn.heard.Load()
		time.Sleep(time.Minute)
		require.Equal(t, heard, s.slots[0].conn.heard.Load())
		_, err = s.get("/")
		require.NoError(t, err)
		require.Equal(t, 1, s.net.Open(), "and it is still there")
	})
}
