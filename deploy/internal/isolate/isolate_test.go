//go:build linux

package isolate

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// missing is why the tests are not isolated; nil: they are.
var missing error

// outside is the environment variable by which the child of a test plays a
// program that is to be isolated: it has the network that it comes from.
const outside = "OUTSIDE_IS"

func TestMain(m *testing.M) {
	if home := os.Getenv(outside); home != "" {
		os.Exit(play(home))
	}
	os.Exit(Main(true, func(err error) int {
		missing = err
		return m.Run()
	}))
}

// play tells by its exit code what has become of the program.
func play(home string) int {
	wanted := os.Getenv("WANTED") != ""
	return Main(wanted, func(err error) int {
		here, _ := network() // "" is no network
		switch {
		case err == nil && here != home:
			return codeIsolated
		case err != nil && here == home:
			return codeAsBefore
		}
		return codeBroken
	})
}

const (
	codeIsolated = 10 + iota
	codeAsBefore
	codeBroken
)

func run(t *testing.T, env ...string) int {
	t.Helper()
	home, err := network()
	require.NoError(t, err)
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe")
	cmd.Env = append(append(os.Environ(), outside+"="+home), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Run(), &exit)
	return exit.ExitCode()
}

func needed(t *testing.T) {
	t.Helper()
	if missing != nil {
		t.Skipf("there are no namespaces for this test: %v", missing)
	}
}

func TestAProgramLeavesItsNetwork(t *testing.T) {
	needed(t)
	require.Equal(t, codeIsolated, run(t, "WANTED=1"))
}

func TestUnlessItIsAskedNotTo(t *testing.T) {
	require.Equal(t, codeAsBefore, run(t))
}

func TestAProgramThatHasNotLeftIsNotIsolated(t *testing.T) {
	home, err := network()
	require.NoError(t, err)
	require.Equal(t, codeAsBefore, run(t, "WANTED=1", marker+"="+home))
}

func TestTheLoopbackOfTheNetworkIsUp(t *testing.T) {
	needed(t)
	require.NotContains(t, os.Environ(), marker)
	flags, err := os.ReadFile("/sys/class/net/lo/flags")
	if err == nil && len(flags) > 0 { // sysfs may still show the old network
		t.Logf("lo: %s", flags)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Close(fd)) }()
	require.NoError(t, unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}))
}

func TestASmallDiskIsFullAtItsSize(t *testing.T) {
	needed(t)
	dir := t.TempDir()
	beside := filepath.Join(dir, "before")
	require.NoError(t, os.WriteFile(beside, []byte("x"), 0o600))
	require.NoError(t, Mount(dir, 1<<20))
	require.NoFileExists(t, beside)
	big := filepath.Join(dir, "big")
	require.ErrorIs(t, os.WriteFile(big, make([]byte, 2<<20), 0o600), syscall.ENOSPC)
	require.NoError(t, os.Remove(big))
	require.NoError(t, os.WriteFile(big, make([]byte, 1<<19), 0o600))
	require.NoError(t, Unmount(dir))
	require.FileExists(t, beside)
	require.ErrorContains(t, Mount(filepath.Join(dir, "nowhere"), 1<<20), "nowhere")
	require.ErrorContains(t, Unmount(dir), dir)
}
