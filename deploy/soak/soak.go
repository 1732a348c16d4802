package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/deploy/internal/cluster"
	"understudy.example/deploy/internal/ledger"
	"understudy.example/deploy/internal/witness"
)

const (
	// recovery bounds the time from the last start of a process until the
	// cluster is whole and quiet again. It is longer than a standby that died
	// over and over is kept out of the in-sync set.
	recovery  = 90 * time.Second
	lookEvery = 50 * time.Millisecond
)

var errViolated = errors.New("promises were broken")

// run soaks a new cluster, and says in the last line what came of it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parseSettings(args, stdout)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "seed %d\n", s.seed)
	if s.simulate > 0 {
		return simulate(ctx, s, stdout, stderr)
	}
	binaries, err := cluster.Build(ctx)
	if err != nil {
		return err
	}
	temporary := s.dir == ""
	if temporary {
		if s.dir, err = os.MkdirTemp("", "understudy-soak-"); err != nil {
			return fmt.Errorf("make a temporary directory: %w", err)
		}
	}
	do := soakIn
	switch {
	case s.starts > 0:
		do = starts
	case s.steady > 0:
		do = steady
	}
	err = do(ctx, s, binaries, stdout)
	if err != nil || !temporary {
		fmt.Fprintf(stderr, "data and logs are in %s\n", s.dir)
		return err
	}
	return os.RemoveAll(s.dir)
}

func soakIn(ctx context.Context, s settings, binaries cluster.Binaries, stdout io.Writer) error {
	log, err := os.Create(filepath.Join(s.dir, "soak.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	c, err := cluster.Start(ctx, cluster.Options{
		Binaries: binaries, Nodes: s.nodes, WantCopies: s.copies, Monitors: 1, Dir: s.dir,
		// Spares step in while the dead are away.
		MonitorFlags: []string{"-replace-after", "1s"},
		// Small snapshots are written often, so that kills meet them too.
		NodeFlags: []string{"-snapshot-bytes", "1048576"},
		Log:       zerolog.Nop(),
	})
	if err != nil {
		return err
	}
	defer c.Close()
	k := &soak{
		settings: s, cluster: c, rng: rand.New(rand.NewPCG(s.seed, 0)), frozen: map[string]bool{}, out: io.MultiWriter(stdout, log), began: time.Now(),
		ledger: ledger.New(ledger.Options{
			Target: c.Monitor(), Writers: s.writers, Prefix: "soak/", Pause: 5 * time.Millisecond, Padding: 400,
		}),
		witness: witness.New(),
	}
	return k.all(ctx)
}

// soak is one run. The processes in frozen stand still.
type soak struct {
	settings
	cluster *cluster.Cluster
	rng     *rand.Rand
	out     io.Writer
	began   time.Time
	ledger  *ledger.Ledger
	witness *witness.Witness

	frozen         map[string]bool
	killed, rounds int
	slowest        time.Duration // recovery
}

// all runs rounds until enough has been killed or something is wrong.
func (k *soak) all(ctx context.Context) error {
	if err := k.quiet(ctx); err != nil {
		return k.verdict(err)
	}
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { k.witness.Watch(watching, lookEvery, k.cluster.Monitor(), k.nodeURLs()) })
	var err error
	for err == nil && k.killed < k.kills {
		err = k.round(ctx)
	}
	stop()
	watch.Wait()
	if ctx.Err() != nil {
		err = ctx.Err() // what broke on the way out says nothing
	}
	return k.verdict(err)
}

func (k *soak) nodeURLs() []string {
	var urls []string
	for _, name := range k.cluster.Nodes() {
		urls = append(urls, k.cluster.Node(name))
	}
	return urls
}

func (k *soak) quiet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	if err := k.cluster.WaitQuiet(ctx); err != nil {
		return err
	}
	return k.cluster.WaitWell(ctx)
}

// round strikes under load, and checks.
func (k *soak) round(ctx context.Context) error {
	k.rounds++
	before := k.ledger.Counts()
	writing, stop := context.WithCancel(ctx)
	defer stop()
	var load sync.WaitGroup
	load.Go(func() { k.ledger.Run(writing) })
	story, err := k.strike(ctx)
	started := time.Now()
	if err == nil {
		err = k.pause(ctx, 500*time.Millisecond)
	}
	stop()
	load.Wait()
	if err != nil {
		return fmt.Errorf("round %d (%s): %w", k.rounds, story, err)
	}
	if err := k.quiet(ctx); err != nil {
		return fmt.Errorf("round %d (%s): %w", k.rounds, story, err)
	}
	took := time.Since(started)
	k.slowest = max(k.slowest, took)
	items, err := k.cluster.Agreed(ctx)
	if err != nil {
		return fmt.Errorf("round %d (%s): %w", k.rounds, story, err)
	}
	k.ledger.Check(items)
	after := k.ledger.Counts()
	fmt.Fprintf(k.out, "%s round %d: %s; %d acknowledged, %d unknown, quiet after %d ms, %d keys\n",
		time.Now().UTC().Format("15:04:05.000"), k.rounds, story, after.Acknowledged-before.Acknowledged, after.Unknown-before.Unknown, took.Milliseconds(), len(items))
	if len(k.violations()) > 0 {
		return fmt.Errorf("round %d (%s): %w", k.rounds, story, errViolated)
	}
	return nil
}

func (k *soak) violations() []string {
	return append(k.ledger.Violations(), k.witness.Violations()...)
}

// verdict writes the last lines.
func (k *soak) verdict(err error) error {
	for i, v := range k.violations() {
		if i == 20 {
			fmt.Fprintf(k.out, "violation: and %d more\n", len(k.violations())-i)
			break
		}
		fmt.Fprintf(k.out, "violation: %s\n", v)
	}
	n := k.ledger.Counts()
	word := "ok"
	if err != nil {
		word = "FAILED"
	}
	fmt.Fprintf(k.out, "%s: seed %d, %d kills in %d rounds, %s; %d writes acknowledged, %d refused attempts, %d of unknown outcome; %d requests judged by their histories, %d keys undecided; %d looks; slowest recovery %d ms; %d violations\n",
		word, k.seed, k.killed, k.rounds, time.Since(k.began).Round(time.Second), n.Acknowledged, n.Refused, n.Unknown,
		n.Judged, n.Undecided, k.witness.Looks(), k.slowest.Milliseconds(), len(k.violations()))
	return err
}
