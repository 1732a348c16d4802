package coordinator

import (
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/courier"
	"understudy.example/pkg/protocol"
)

// A standby may be read from while it is in the in-sync set, means to stay there,
// and is heard.
func TestWhoMayBeReadFrom(t *testing.T) {
	boot := protocol.Boot{Count: 1, Nonce: "b"}
	reg := at(3)
	reg.Nodes = map[string]protocol.NodeEntry{}
	names := []string{"app1", "app2", "app3", "app4", "app5", "app6"}
	for _, name := range names {
		reg.Nodes[name] = protocol.NodeEntry{Name: name, UUID: protocol.UUID(name), Boot: boot, Address: name + ":1"}
	}
	rec := reg.Groups[0]
	rec.Primary = protocol.ReplicaBoot{UUID: "app1", Boot: boot}
	rec.Members = []protocol.UUID{"app1", "app2", "app3", "app4", "app5"}
	rec.InSync = []protocol.UUID{"app1", "app2", "app4", "app5"}
	rec.Leaving = []protocol.UUID{"app4"}
	reg.Groups[0] = rec

	measures, err := NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	c := New(Options{
		Name: "m1", Registry: &lagging{state: reg}, Config: protocol.DefaultMonitorConfig(), Dial: new(net.Dialer).DialContext,
		Settings: func(protocol.Settings) {}, Metrics: measures, Log: zerolog.Nop(),
	})
	now := time.Now()
	c.reg = reg
	c.monitor = protocol.NewMonitor(c.opts.Config, reg, now)
	for _, name := range []string{"app1", "app2", "app3", "app4", "app6"} { // not app5
		require.Nil(t, c.monitor.Heard(protocol.NodeReport{Cluster: "c", Name: name, UUID: protocol.UUID(name), Boot: boot, Address: name + ":1"}, now))
	}
	c.redraw()
	first, changed := c.InSync(0)
	require.Equal(t, []courier.Target{{Name: "app2", Address: "app2:1", Epoch: 3}}, first)

	rec.Leaving, rec.Version = nil, 4
	reg.Groups[0] = rec
	c.reg = reg
	c.redraw()
	requireChange(t, changed)
	second, _ := c.InSync(0)
	require.Equal(t, []courier.Target{{Name: "app2", Address: "app2:1", Epoch: 3}, {Name: "app4", Address: "app4:1", Epoch: 3}}, second)
}
