package main

import (
	"context"
	"strings"
	"time"
)

// strike kills one process or two, or freezes them, at random moments, and starts
// them again in a random order. Sometimes it strikes once more before the cluster has
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
		done, err := k.strikeAll(ctx, victims)
		told = append(told, done)
		if err != nil {
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

// strikeAll kills or freezes the victims, and tells what it did.
func (k *soak) strikeAll(ctx context.Context, victims []string) (string, error) {
	var told []string
	for i, name := range victims {
		// Often the second dies within the failover from the first, or with it.
		if i > 0 && k.rng.IntN(2) == 0 {
			if err := k.pause(ctx, 300*time.Millisecond); err != nil {
				return strings.Join(told, ", then "), err
			}
		}
		what, act := "killed ", k.cluster.Kill
		if k.frozen[name] = k.rng.IntN(4) == 0; k.frozen[name] {
			what, act = "froze ", k.cluster.Stop
		}
		told = append(told, what+name)
		if err := act(name); err != nil {
			return strings.Join(told, ", then "), err
		}
		k.killed++
	}
	return strings.Join(told, ", then "), nil
}

func (k *soak) startAll(ctx context.Context, victims []string) error {
	k.rng.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	for _, name := range victims {
		// At once, faster than anything expires, or later.
		if k.rng.IntN(3) > 0 {
			if err := k.pause(ctx, k.away()); err != nil {
				return err
			}
		}
		again := k.cluster.Start
		if k.frozen[name] {
			again = k.cluster.Cont
		}
		if err := again(name); err != nil {
			return err
		}
	}
	return nil
}

// away bounds how long the dead are away: where there are spares, some of them for
// long enough that one steps in.
func (k *soak) away() time.Duration {
	if k.copies > 0 && k.copies < k.nodes {
		return 3 * time.Second
	}
	return 800 * time.Millisecond
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
