package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"understudy.example/monitor/internal/coordinator"
	"understudy.example/monitor/internal/hook"
	"understudy.example/monitor/internal/httpapi"
	"understudy.example/monitor/internal/peers"
	"understudy.example/monitor/internal/proxy"
	"understudy.example/monitor/internal/raftlink"
	"understudy.example/monitor/internal/registry"
	"understudy.example/pkg/daemon"
	"understudy.example/pkg/protocol"
)

// grace bounds how long requests under way may take to end when a monitor
// stops.
const grace = 2 * time.Second

// Run runs a monitor until ctx ends, which is no error, or until it cannot go
// on: then the error says why.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.Validate(); err != nil {
		return err
	}
	log := o.Log.With().Str("monitor", o.Name).Logger()
	ln, err := o.Network.Listen(ctx, o.Listen)
	if err != nil {
		return err
	}
	metrics := prometheus.NewRegistry()
	m, err := open(ctx, o, log, metrics)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	defer func() { err = errors.Join(err, m.registry.Close()) }()
	log.Info().Str("address", o.address()).Str("data", o.Data).Msg("monitor starting")

	g := daemon.NewGroup(ctx, log)
	g.Go("coordinator", m.coordinator.Run)
	// The proxy carries what is under way for as long as the server gives it.
	carrying, carried := context.WithCancel(context.WithoutCancel(ctx))
	g.Go("proxy", func(context.Context) error { return m.proxy.Run(carrying) })
	g.Go("http", func(ctx context.Context) error {
		defer carried()
		defer context.AfterFunc(ctx, m.proxy.Drain)()
		return daemon.Serve(ctx, ln, daemon.HTTPOptions{
			Handler: m.api, ConnContext: m.api.ConnContext, ConnState: m.api.ConnState, Log: log, Grace: grace,
		})
	})
	g.Go("peers", m.peers.Run)
	g.Go("hook", m.newHook(o, log).Run)
	g.Go("leadership", func(ctx context.Context) error {
		<-ctx.Done() // another leads while this one finishes what is under way
		if err := m.registry.HandOver(context.WithoutCancel(ctx), ""); err != nil {
			log.Debug().Err(err).Msg("leadership not handed over")
		}
		return nil
	})
	g.Go("registry watch", func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-m.registry.Failed():
			return fmt.Errorf("the registry cannot go on: %w", m.registry.Err())
		}
	})
	err = g.Wait()
	log.Info().Err(err).Msg("monitor stopped")
	return err
}

// monitor is the parts of a running daemon.
type monitor struct {
	registry    *registry.Registry
	peers       *peers.Peers
	coordinator *coordinator.Coordinator
	proxy       *proxy.Proxy
	hooks       *hook.Metrics
	api         *httpapi.API
}

func open(ctx context.Context, o Options, log zerolog.Logger, metrics *prometheus.Registry) (*monitor, error) {
	measures, err := coordinator.NewMetrics(metrics)
	hooks, hookErr := hook.NewMetrics(metrics, o.Hook.Command != "", o.Hook.URL != "")
	err = errors.Join(err, hookErr, daemon.RegisterBuildInfo(metrics, "monitor"),
		metrics.Register(collectors.NewGoCollector()),
		metrics.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})))
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	m := &monitor{hooks: hooks}
	// The registry speaks before it has been handed to the coordinator, and the
	// coordinator needs it to begin: what comes too early waits in late.
	late := &relay{ready: make(chan struct{})}
	link := raftlink.New(o.address(), o.Network.Dial)
	m.registry, err = registry.Open(ctx, registry.Options{
		Name: o.Name, Dir: o.Data, Settings: o.Settings, Log: log.With().Str("component", "registry").Logger(),
		OnChange: late.changed, OnLeader: late.leads, Connect: link.Transport, Several: len(o.Peers) > 1,
	})
	if err != nil {
		return nil, err
	}
	m.peers = peers.New(peers.Options{
		Name: o.Name, Address: o.address(), Peers: o.Peers, Registry: m.registry,
		Hears: func() map[string]int64 { return m.coordinator.Hears() },
		Dial:  o.Network.Dial, Log: log.With().Str("component", "peers").Logger(),
	})
	m.coordinator = coordinator.New(coordinator.Options{
		Name: o.Name, Address: o.address(), Registry: m.registry, Peers: m.peers, Config: o.Protocol, Dial: o.Network.Dial,
		Settings: func(s protocol.Settings) {
			m.proxy.SetHold(time.Duration(s.Hold))
			m.proxy.SetReads(s.Reads)
		},
		Metrics: measures, Log: log.With().Str("component", "coordinator").Logger(),
	})
	m.proxy = proxy.New(proxy.Options{
		Directory: m.coordinator, Dial: o.Network.Dial, Hold: time.Duration(o.Settings.Hold), Reads: o.Settings.Reads, Reopened: m.coordinator.Reopened, Registerer: metrics,
	})
	still := o.Freeze
	if !o.AllowKill {
		still = nil
	}
	m.api = httpapi.New(httpapi.Options{
		StandStill:  still,
		Coordinator: m.coordinator, Peers: m.peers, Raft: link, Proxy: m.proxy, Metrics: promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}),
		ConnClosed: m.coordinator.ConnClosed, Log: log,
	})
	if err := metrics.Register(m.coordinator.Collector()); err != nil {
		return nil, errors.Join(fmt.Errorf("register metrics: %w", err), m.registry.Close())
	}
	late.coordinator = m.coordinator
	close(late.ready)
	tellDifferences(o.Settings, m.registry.State(), log)
	return m, nil
}

// relay passes the registry's word on once there is somebody to take it.
// Before, it drops it: the coordinator reads the newest state when it begins.
type relay struct {
	ready       chan struct{}
	coordinator *coordinator.Coordinator // set before ready is closed
}

func (r *relay) changed(reg protocol.Registry) {
	select {
	case <-r.ready:
		r.coordinator.RegistryChanged(reg)
	default:
	}
}

func (r *relay) leads(leads bool) {
	select {
	case <-r.ready:
		r.coordinator.LeaderChanged(leads)
	default:
	}
}

// tellDifferences says where the command line differs from the registry, whose
// settings hold.
func tellDifferences(flags protocol.Settings, reg protocol.Registry, log zerolog.Logger) {
	if reg.Cluster != "" && flags != reg.Settings {
		log.Warn().Interface("registry", reg.Settings).Interface("flags", flags).
			Msg("settings of the command line differ from the cluster's, which hold")
	}
}
