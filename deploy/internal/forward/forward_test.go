package forward

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// echo answers every line with itself.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					fmt.Fprintln(c, "echo "+lines.Text())
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func kind(first string) string {
	if strings.HasPrefix(first, "peer") {
		return "peer"
	}
	return "monitor"
}

func listen(t *testing.T, target string) *Forwarder {
	t.Helper()
	f, err := Listen(t.Context(), target, kind)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

type talk struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, f *Forwarder) *talk {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", f.Address())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &talk{t, c, bufio.NewReader(c)}
}

func (k *talk) say(line string) {
	k.t.Helper()
	_, err := fmt.Fprintln(k.conn, line)
	require.NoError(k.t, err)
}

func (k *talk) hear(want string) {
	k.t.Helper()
	require.NoError(k.t, k.conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	got, err := k.in.ReadString('\n')
	require.NoError(k.t, err)
	require.Equal(k.t, want+"\n", got)
}

// silent waits for a moment in which a byte would have come.
func (k *talk) silent() {
	k.t.Helper()
	require.NoError(k.t, k.conn.SetReadDeadline(time.Now().Add(30*time.Millisecond)))
	_, err := k.in.ReadByte()
	require.ErrorIs(k.t, err, os.ErrDeadlineExceeded)
}

func (k *talk) ended() {
	k.t.Helper()
	require.NoError(k.t, k.conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	_, err := k.in.ReadByte()
	require.Error(k.t, err)
	require.NotErrorIs(k.t, err, os.ErrDeadlineExceeded, "the connection is still open")
}

func TestCutsHoldOneKindInOneDirection(t *testing.T) {
	f := listen(t, echo(t))
	peer, monitor := dial(t, f), dial(t, f)
	peer.say("peer 1")
	peer.hear("echo peer 1")
	monitor.say("monitor 1")
	monitor.hear("echo monitor 1")

	f.Set("peer", Cut{Requests: true})
	peer.say("2")
	monitor.say("2")
	monitor.hear("echo 2")
	peer.silent()
	f.Set("peer", Cut{Answers: true})
	peer.silent()
	f.Set("peer", Cut{})
	peer.hear("echo 2")

	f.Set("peer", Both())
	late := dial(t, f) // it connects, and nobody answers
	late.say("peer 1")
	late.silent()
	f.Set("peer", Cut{})
	late.hear("echo peer 1")
}

func TestAnswersAreHeldAfterSomeBytes(t *testing.T) {
	f := listen(t, echo(t))
	f.Set("peer", Cut{AnswersAfter: 10})
	k := dial(t, f)
	k.say("peer 1")
	k.hear("echo peer 1")
	k.say("2")
	k.silent()
	f.Set("peer", Cut{})
	k.hear("echo 2")
}

func TestBreakLosesWhatIsHeld(t *testing.T) {
	f := listen(t, echo(t))
	peer, monitor := dial(t, f), dial(t, f)
	peer.say("peer 1")
	peer.hear("echo peer 1")
	monitor.say("monitor 1")
	monitor.hear("echo monitor 1")
	f.Set("peer", Both())
	peer.say("lost")
	late := dial(t, f)
	late.say("peer 1")
	late.silent()
	f.Break("peer")
	f.Set("peer", Cut{})
	peer.ended()
	late.ended()
	monitor.say("2")
	monitor.hear("echo 2")
}

func TestWhatIsAbandonedStaysOpenAndSilent(t *testing.T) {
	f := listen(t, echo(t))
	peer, monitor := dial(t, f), dial(t, f)
	peer.say("peer 1")
	peer.hear("echo peer 1")
	monitor.say("monitor 1")
	monitor.hear("echo monitor 1")
	f.Abandon("peer")
	peer.say("2")
	peer.silent()
	f.Set("peer", Cut{})
	peer.silent()
	monitor.say("2")
	monitor.hear("echo 2")
	fresh := dial(t, f)
	fresh.say("peer 1")
	fresh.hear("echo peer 1")
}

func TestTheEndOfOneSideIsPassedOn(t *testing.T) {
	f := listen(t, echo(t))
	k := dial(t, f)
	k.say("peer 1")
	k.hear("echo peer 1")
	require.NoError(t, k.conn.(*net.TCPConn).CloseWrite())
	k.ended()
}

func TestATargetThatIsGone(t *testing.T) {
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	k := dial(t, listen(t, ln.Addr().String()))
	k.say("peer 1")
	k.ended()
}

func TestCloseEndsWhatIsHeld(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f, err := Listen(ctx, echo(t), kind)
	require.NoError(t, err)
	cancel() // it outlives the caller's context
	f.Set("peer", Both())
	k, dumb := dial(t, f), dial(t, f)
	k.say("peer 1")
	dumb.silent()
	require.NoError(t, f.Close())
	k.ended()
	dumb.ended()
}
