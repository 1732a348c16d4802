package netns

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// namespaces makes a network of real namespaces, or skips the test.
func namespaces(t *testing.T, hosts ...string) (*Network, map[string]*Host) {
	t.Helper()
	if unisolated != nil {
		t.Skipf("there are no namespaces for this test: %v", unisolated)
	}
	n, err := New()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	all := map[string]*Host{}
	for _, name := range hosts {
		all[name], err = n.Add(name)
		require.NoError(t, err)
	}
	return n, all
}

// echo runs a process on the host that sends back what it is sent.
func echo(t *testing.T, h *Host) (address string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	address = net.JoinHostPort(h.Address(), "7000")
	cmd.Env = append(os.Environ(), "ECHO="+address)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, h.Start(cmd))
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
		require.Error(t, cmd.Wait())
	})
	ready := make([]byte, len("ready"))
	_, err = io.ReadFull(out, ready)
	require.NoError(t, err)
	return address
}

func dial(t *testing.T, address string, timeout time.Duration) (net.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

// ask sends a word and returns whether it came back in time.
func ask(t *testing.T, c net.Conn, timeout time.Duration) bool {
	t.Helper()
	require.NoError(t, c.SetDeadline(time.Now().Add(timeout)))
	if _, err := c.Write([]byte("hello")); err != nil {
		return false
	}
	_, err := io.ReadFull(c, make([]byte, len("hello")))
	return err == nil
}

const (
	short = 100 * time.Millisecond // in which nothing comes
	long  = 5 * time.Second        // by which it must have come
)

func TestProcessesMeetOverTheSwitch(t *testing.T) {
	t.Parallel()
	n, hosts := namespaces(t, "a")
	address := echo(t, hosts["a"])
	c, err := dial(t, address, long)
	require.NoError(t, err)
	require.True(t, ask(t, c, long))
	require.Positive(t, n.Traffic(Client, "a").Delivered)
	require.Positive(t, n.Traffic("a", Client).Delivered)

	n.Set("a", Client, Link{Cut: true})
	require.False(t, ask(t, c, short))
	_, err = dial(t, address, short)
	require.Error(t, err)
	n.Heal()
	require.True(t, ask(t, c, long), "TCP has sent it again")
}

func TestADelayIsSeen(t *testing.T) {
	t.Parallel()
	n, hosts := namespaces(t, "a")
	c, err := dial(t, echo(t, hosts["a"]), long)
	require.NoError(t, err)
	n.Both(Client, "a", Link{Delay: short})
	began := time.Now()
	require.True(t, ask(t, c, long))
	require.GreaterOrEqual(t, time.Since(began), 2*short)
}

func TestAnAbandonedConnectionIsHalfOpen(t *testing.T) {
	t.Parallel()
	n, hosts := namespaces(t, "a")
	address := echo(t, hosts["a"])
	old, err := dial(t, address, long)
	require.NoError(t, err)
	n.Abandon(Client, "a")
	require.False(t, ask(t, old, short))
	c, err := dial(t, address, long)
	require.NoError(t, err)
	require.True(t, ask(t, c, long))
}

func TestAHostThatIsDownKnowsIt(t *testing.T) {
	t.Parallel()
	_, hosts := namespaces(t, "a")
	address := echo(t, hosts["a"])
	c, err := dial(t, address, long)
	require.NoError(t, err)
	require.NoError(t, hosts["a"].Up(false))
	require.False(t, ask(t, c, short))
	require.NoError(t, hosts["a"].Up(true))
	require.True(t, ask(t, c, long))
}

func TestNetworksAreApart(t *testing.T) {
	t.Parallel()
	_, one := namespaces(t, "a")
	n, two := namespaces(t, "a", "b")
	require.NotEqual(t, one["a"].Address(), two["a"].Address())
	_, err := dial(t, echo(t, two["b"]), long)
	require.NoError(t, err)
	require.Zero(t, n.Traffic(Client, "a").Delivered)
}

func TestAHostIsAddedOnce(t *testing.T) {
	t.Parallel()
	n, _ := namespaces(t, "a")
	_, err := n.Add("a")
	require.EqualError(t, err, "there is a host a already")
}
