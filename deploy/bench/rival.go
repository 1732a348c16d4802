package main

import (
	"context"
	"fmt"

	"understudy.example/deploy/bench/internal/failover"
	"understudy.example/deploy/bench/internal/rival"
)

// openRival starts another store in a directory, and completes the
// options. Its writers write without conditions and without request keys, which
// not all stores have.
func (p *plan) openRival(ctx context.Context, dir string) (failover.Cluster, func(), error) {
	r, err := rival.Start(ctx, p.way, dir)
	if err != nil {
		return nil, nil, err
	}
	ready, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := r.WaitReady(ready); err != nil {
		r.Close()
		return nil, nil, fmt.Errorf("%s is not ready: %w", p.way, err)
	}
	p.Open = r.Open
	return r, r.Close, nil
}
