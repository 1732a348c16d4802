package main

import (
	"context"
	"strings"
	"time"
)

// strike kills one process or two, at random moments, and starts them again in
// a random order. Sometimes it strikes once more before the cluster has
// recovered. It returns what it did.
func (k *soak) strike(ctx context.Context) (story string, err error) {
	var told []string
	for again := true; again; again = k.killed < k.kills && k.rng.IntN(4) == 0 {
		// A second strike falls into the recovery from the first.
		longest := 1200 * time.Millisecond
		if len(told) > 0 {
			longest = 400 * time.Millisecond
		}
		if err := k.pause(ctx, longest); err != nil {
			return strings.Join(told, "; "), err
		}
		victims := k.victims()
		told = append(told, "killed "+strings.Join(victims, ", then "))
		if err := k.killAll(ctx, victims); err != nil {
			return strings.Join(told, "; "), err
		}
		if err := k.startAll(ctx, victims); err != nil {
			return strings.Join(told, "; "), err
		}
	}
	return strings.Join(told, "; "), nil
}

// victims picks one process, or two in one case of three.
func (k *soak) victims() []string {
	var names []string
	for _, p := range k.cluster.Processes() {
		names = append(names, p.Name)
	}
	k.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	n := 1
	if k.killed+1 < k.kills && k.rng.IntN(3) == 0 {
		n = 2
	}
	return names[:n]
}

func (k *soak) killAll(ctx context.Context, victims []string) error {
	for i, name := range victims {
		// Often the second dies within the failover from the first, or with it.
		if i > 0 && k.rng.IntN(2) == 0 {
			if err := k.pause(ctx, 300*time.Millisecond); err != nil {
				return err
			}
		}
		if err := k.cluster.Kill(name); err != nil {
			return err
		}
		k.killed++
	}
	return nil
}

func (k *soak) startAll(ctx context.Context, victims []string) error {
	k.rng.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	for _, name := range victims {
		// At once, faster than anything expires, or later.
		if k.rng.IntN(3) > 0 {
			if err := k.pause(ctx, 800*time.Millisecond); err != nil {
				return err
			}
		}
		if err := k.cluster.Start(name); err != nil {
			return err
		}
	}
	return nil
}

// pause waits for a random time.
func (k *soak) pause(ctx context.Context, longest time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(k.rng.Int64N(int64(longest)))):
		return nil
	}
}
