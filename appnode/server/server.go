package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"understudy.example/appnode/internal/datadir"
	"understudy.example/appnode/internal/httpapi"
	"understudy.example/appnode/internal/journal"
	"understudy.example/appnode/internal/replica"
	"understudy.example/pkg/daemon"
	"understudy.example/pkg/link"
	"understudy.example/pkg/protocol"
)

// group is the one group that a node keeps.
const group protocol.GroupID = 0

// grace bounds how long requests under way may take to end when a node stops.
const grace = 2 * time.Second

// errReborn tells that the data directory was set aside: the node goes on as an
// empty replica under a new uuid.
var errReborn = errors.New("the data directory was set aside")

// Run runs a node until ctx ends, which is no error, or until it cannot go on:
// then the error says why.
func Run(ctx context.Context, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	for {
		err := runOnce(ctx, o)
		if !errors.Is(err, errReborn) {
			return err
		}
		o.Log.Warn().Msg("starting again as an empty replica")
	}
}

// runOnce runs one life of the data directory.
func runOnce(ctx context.Context, o Options) (err error) {
	dir, err := datadir.Open(o.Files, o.Data, rand.Reader)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	n := newNode(o, dir)
	log := n.log
	log.Info().Str("uuid", string(dir.UUID())).Stringer("boot", dir.Boot()).Str("address", o.address()).Str("data", o.Data).Msg("node starting")

	metrics := prometheus.NewRegistry()
	handler, closeJournal, err := n.open(metrics)
	if err != nil {
		return err
	}
	defer func() { err = n.giveUp(errors.Join(err, closeJournal())) }()
	ln, err := o.Network.Listen(ctx, o.Listen)
	if err != nil {
		return err
	}
	g := daemon.NewGroup(context.WithoutCancel(ctx), log)
	g.Go("end", n.handOver(ctx, g))
	g.Go("http", func(ctx context.Context) error {
		return daemon.Serve(ctx, ln, daemon.HTTPOptions{Handler: handler, Log: log, Grace: grace})
	})
	g.Go("links", n.endLinks)
	if n.replica != nil {
		g.Go("replica", n.replica.Run)
	}
	for _, m := range o.Monitors {
		g.Go("heartbeat to "+m, func(ctx context.Context) error { return n.beat(ctx, m) })
	}
	g.Go("proposer", n.proposer)
	g.Go("peers", n.watchPeers)
	if n.replica != nil {
		g.Go("teller", n.tellMembers)
	}
	g.Go("disk probe", n.probeDisk)
	g.Go("rebirth", n.awaitRebirth)
	err = g.Wait()
	n.client.CloseIdleConnections()
	log.Info().Err(err).Msg("node stopped")
	return err
}

// giveUp sets the data aside where the replica has ended because an override has
// given the group another history: it begins anew, empty.
func (n *node) giveUp(err error) error {
	if !errors.Is(err, protocol.ErrHistoryLost) {
		return err
	}
	n.log.Warn().Err(err).Msg("the group goes on without what only this replica holds, setting its data aside")
	if err := n.dir.SetAside(err.Error()); err != nil {
		return err
	}
	return errReborn
}

// open opens the journal and builds the replica and the HTTP interface. A
// corrupt journal leaves the node without a replica: it says so, and waits to
// be left out of the in-sync set.
func (n *node) open(reg *prometheus.Registry) (http.Handler, func() error, error) {
	measures, err := replica.NewMetrics(reg)
	err = errors.Join(err, daemon.RegisterBuildInfo(reg, "appnode"),
		reg.Register(collectors.NewGoCollector()),
		reg.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
		reg.Register(newStatusCollector(n)))
	if err != nil {
		return nil, nil, fmt.Errorf("register metrics: %w", err)
	}
	failed, _ := n.dir.Failed(group)
	j, opened, err := journal.Open(journal.Options{
		FS: n.opts.Files, Dir: n.dir.GroupDir(group), Group: group, NoSync: !n.opts.Fsync,
		SegmentBytes: n.opts.SegmentBytes, Existing: n.dir.Made(group), Failed: failed, OnSync: measures.Sync, Log: n.log,
	})
	if err != nil {
		return nil, nil, err
	}
	closeJournal := func() error { return nil }
	switch {
	case opened.Corrupt != "":
		n.corrupt = opened.Corrupt
		n.log.Error().Str("reason", opened.Corrupt).Msg("the journal is corrupt, this replica waits to be left out of the in-sync set")
	default:
		closeJournal = j.Close
		if err := n.dir.SetMade(group); err != nil {
			return nil, nil, errors.Join(err, j.Close())
		}
		if opened.Torn.File != "" {
			n.log.Warn().Str("file", opened.Torn.File).Int64("bytes", opened.Torn.Bytes).Msg("an unfinished batch was set aside")
		}
		if n.replica, err = n.newReplica(j, opened, measures); err != nil {
			return nil, nil, errors.Join(err, j.Close())
		}
	}
	api := httpapi.New(httpapi.Options{
		Replica: n, Name: n.opts.Name, AllowKill: n.opts.AllowKill, Kill: n.opts.Kill, Freeze: n.opts.Freeze, Alive: n.alive,
		Metrics: promhttp.HandlerFor(reg, promhttp.HandlerOpts{}), Log: n.log,
	})
	n.links = link.NewServer(api, link.ServerOptions{Log: n.log.With().Str("component", "link").Logger()})
	n.routeInternal(api.Router)
	return api, closeJournal, nil
}

// endLinks gives what is under way on links the same grace as on HTTP.
func (n *node) endLinks(ctx context.Context) error {
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := n.links.Shutdown(ctx); err != nil {
		n.log.Warn().Err(err).Msg("requests on links were cut at the end")
	}
	return nil
}

func (n *node) newReplica(j *journal.Journal, opened journal.Opened, m *replica.Metrics) (*replica.Replica, error) {
	return replica.New(replica.Options{
		Name: n.opts.Name, Cluster: n.dir.Cluster, Group: group,
		Me:     protocol.ReplicaBoot{UUID: n.dir.UUID(), Boot: n.dir.Boot()},
		Epochs: n.dir, Journal: j, Commit: opened.Commit, Config: n.opts.Protocol,
		Profile: n.opts.Profile, MaxBytes: n.opts.MaxBytes, SnapshotBytes: n.opts.SnapshotBytes,
		Dial: n.opts.Network.Dial, Address: n.addressOf, NameOf: n.nameOf,
		Propose: n.propose, Changed: n.changed, Metrics: m,
		Log: n.log.With().Str("component", "replica").Uint32("group", uint32(group)).Logger(),
	})
}
