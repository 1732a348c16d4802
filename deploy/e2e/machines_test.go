package e2e

import (
	"os/exec"
	"strconv"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/cluster"
	"understudy.example/deploy/internal/netns"
)

// machines gives every process a network namespace of its own. Where the system
// has none the test is skipped, with the reason.
func machines(s *story, o *cluster.Options) {
	s.t.Helper()
	if unwired != nil {
		s.t.Skipf("there can be no network for this test: %v", unwired)
	}
	network, err := netns.New()
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, network.Close()) })
	s.net, s.hosts = network, map[string]*netns.Host{}
	names := []string{"m1"}
	for i := range o.Nodes {
		names = append(names, "app"+strconv.Itoa(i+1))
	}
	for _, n := range names {
		s.hosts[n], err = network.Add(n)
		require.NoError(s.t, err)
	}
	o.Hosts = rack(s.hosts)
	// Nobody but the hosts of this network reaches them.
	o.MonitorFlags = append(o.MonitorFlags, "-insecure")
	o.NodeFlags = append(o.NodeFlags, "-insecure")
}

// rack is the machines of a cluster, by the name of what runs on them.
type rack map[string]*netns.Host

func (r rack) Address(process string) string { return r[process].Address() + ":8080" }

func (r rack) Start(process string, cmd *exec.Cmd) error { return r[process].Start(cmd) }

// wires makes the links between processes such that they can be cut: with
// namespaces, and with forwarders where there can be none.
func wires(s *story, o *cluster.Options) {
	if unwired != nil {
		links(s, o)
		return
	}
	machines(s, o)
}

// three gives the cluster a third node.
func three(_ *story, o *cluster.Options) { o.Nodes = 3 }
