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

func TestNewsAreToldOnce(t *testing.T) {
	reg := &lagging{state: at(29)}
	measures, err := NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	c := New(Options{
		Name: "m1", Registry: reg, Config: protocol.DefaultMonitorConfig(), Dial: new(net.Dialer).DialContext,
		Settings: func(protocol.Settings) {}, Metrics: measures, Log: zerolog.Nop(),
	})
	_, _, changed := c.News()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { require.NoError(t, c.Run(ctx)) })
	requireChange(t, changed)

	primary, history, changed := c.News()
	require.EqualValues(t, 29, primary.Epoch)
	require.EqualValues(t, 29, primary.Version)
	require.Equal(t, "c", primary.Cluster)
	require.Empty(t, primary.Name, "its node is not known")
	require.Empty(t, history)
	require.NoError(t, c.ask(func(time.Time) {}))
	select {
	case <-changed:
		t.Fatal("there were no other news")
	default:
	}

	reg.mu.Lock()
	reg.state.History = []protocol.HistoryEvent{{ID: 7}}
	reg.mu.Unlock()
	c.RegistryChanged(protocol.Registry{})
	requireChange(t, changed)
	_, history, changed = c.News()
	require.EqualValues(t, 7, history[0].ID)

	cancel()
	running.Wait()
	requireChange(t, changed)
	primary, _, changed = c.News()
	require.EqualValues(t, 29, primary.Epoch)
	require.Nil(t, changed, "there will be no other")
}

func requireChange(t *testing.T, changed <-chan struct{}) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(5 * time.Second):
		t.Fatal("nothing has changed")
	}
}
