package cluster

import (
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// noting is machines that keep who was started on them.
type noting struct {
	addresses map[string]string

	mu      sync.Mutex // guards started
	started []string
}

func (n *noting) Address(process string) string { return n.addresses[process] }

func (n *noting) Start(process string, cmd *exec.Cmd) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.started = append(n.started, process)
	return cmd.Start()
}

func TestProcessesRunOnTheMachinesThatTheyAreGiven(t *testing.T) {
	free, err := FreeAddresses(t.Context(), 3)
	require.NoError(t, err)
	hosts := &noting{addresses: map[string]string{"m1": free[0], "app1": free[1], "app2": free[2]}}
	opts := options(t)
	opts.Hosts = hosts
	opts.Route = func(string, string, string) (string, error) { panic("it is not asked") }
	c := start(t, opts)
	ready(t, c)
	require.Equal(t, "http://"+free[0], c.Monitor())
	require.Equal(t, "http://"+free[2], c.Node("app2"))
	require.NoError(t, c.Kill("app2"))
	require.NoError(t, c.Start("app2"))
	slices.Sort(hosts.started)
	require.Equal(t, []string{"app1", "app2", "app2", "m1"}, hosts.started)
}
