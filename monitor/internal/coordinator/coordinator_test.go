package coordinator

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

// lagging is a registry that has won an election and has not applied its log
// yet.
type lagging struct {
	mu    sync.Mutex // guards the fields below
	state protocol.Registry
	leads bool
}

func (l *lagging) State() protocol.Registry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

func (l *lagging) Leader() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leads
}

func (l *lagging) catchUp(epoch protocol.Epoch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.leads = at(epoch), true
}

func (l *lagging) Apply(context.Context, protocol.Command) (protocol.Registry, error) {
	return l.State(), nil
}
func (l *lagging) Informed() bool     { return false }
func (l *lagging) LeaderName() string { return "m1" }
func (l *lagging) Term() uint64       { return 2 }

func at(epoch protocol.Epoch) protocol.Registry {
	return protocol.Registry{
		Cluster: "c", Settings: protocol.DefaultSettings(),
		Groups: map[protocol.GroupID]protocol.GroupRecord{0: {Epoch: epoch, Version: protocol.Version(epoch)}},
	}
}

func TestAMonitorThatStartedAgainLeadsOnceItKnowsAll(t *testing.T) {
	reg := &lagging{state: at(29)}
	measures, err := NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	c := New(Options{
		Name: "m1", Registry: reg, Config: protocol.DefaultMonitorConfig(), Dial: new(net.Dialer).DialContext,
		Settings: func(protocol.Settings) {}, Metrics: measures, Log: zerolog.Nop(),
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { require.NoError(t, c.Run(ctx)) })
	defer running.Wait()
	defer cancel()

	early := c.Cluster()
	require.EqualValues(t, 29, early.Groups[0].Epoch)
	require.Empty(t, early.Leader)
	require.False(t, early.Monitors[0].Leader)

	reg.catchUp(32)
	c.LeaderChanged(true)
	require.Eventually(t, func() bool { return c.Cluster().Leader == "m1" }, 5*time.Second, time.Millisecond)
	late := c.Cluster()
	require.EqualValues(t, 32, late.Groups[0].Epoch)
	require.True(t, late.Monitors[0].Leader)
}
