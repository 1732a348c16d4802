package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/deploy/internal/cluster"
	"understudy.example/deploy/internal/ledger"
)

// steady keeps a cluster of three monitors under full load and takes nothing away:
// nobody may be elected or promoted meanwhile.
func steady(ctx context.Context, s settings, binaries cluster.Binaries, stdout io.Writer) error {
	c, err := cluster.Start(ctx, cluster.Options{
		Binaries: binaries, Nodes: s.nodes, WantCopies: s.copies, Monitors: 3, Dir: s.dir, Log: zerolog.Nop(),
	})
	if err != nil {
		return err
	}
	defer c.Close()
	ready, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	if err := c.WaitReady(ready); err != nil {
		return err
	}
	l := ledger.New(ledger.Options{Target: c.Monitor(), Writers: s.writers, Prefix: "steady/", Padding: 400})
	before, err := reignOf(ctx, c)
	if err != nil {
		return err
	}
	loaded, end := context.WithTimeout(ctx, s.steady)
	defer end()
	var load sync.WaitGroup
	load.Go(func() { l.Run(loaded) })
	told := watchReign(loaded, c, before, stdout)
	load.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	after, err := reignOf(ctx, c)
	if err != nil {
		return err
	}
	counts := l.Counts()
	fmt.Fprintf(stdout, "%s under %d writers: %d acknowledged, %d refused, %d unknown, longest gap %d ms; elections %d, changes of the primary %d (%d seen on the way)\n",
		s.steady, s.writers, counts.Acknowledged, counts.Refused, counts.Unknown, counts.LongestGap.Milliseconds(),
		after.term-before.term, after.epoch-before.epoch, told)
	if after != before || told > 0 || counts.Acknowledged == 0 {
		return fmt.Errorf("under load alone: %w", errViolated)
	}
	return nil
}

// reign is who leads and who serves, by number.
type reign struct{ term, epoch uint64 }

func reignOf(ctx context.Context, c *cluster.Cluster) (r reign, err error) {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	view, err := c.View(ctx)
	if err != nil {
		return r, err
	}
	return reign{view.Term, uint64(view.Groups[0].Epoch)}, nil
}

// watchReign tells of every change until ctx ends, and counts them.
func watchReign(ctx context.Context, c *cluster.Cluster, last reign, stdout io.Writer) (changes int) {
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return changes
		case <-time.After(time.Second):
		}
		now, err := reignOf(ctx, c)
		if err == nil && now != last {
			changes++
			fmt.Fprintf(stdout, "after %s: term %d, epoch %d (before %d, %d)\n", time.Since(began).Round(time.Second), now.term, now.epoch, last.term, last.epoch)
			last = now
		}
	}
}
