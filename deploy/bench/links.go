package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"understudy.example/deploy/internal/forward"
)

// links stand on every way between the monitor and the nodes, and between the
// nodes, and are cut as a network is: whatever is under way is held, and nobody
// is told.
type links struct {
	ctx context.Context

	mu  sync.Mutex // guards all
	all map[span]*forward.Forwarder
}

// span is from whom and to whom a link leads; from "" is everybody.
type span struct{ from, to string }

func newLinks(ctx context.Context) *links {
	return &links{ctx: ctx, all: map[span]*forward.Forwarder{}}
}

// route puts a link on a way of the cluster.
func (l *links) route(from, to, address string) (string, error) {
	f, err := forward.Listen(l.ctx, address, func(string) string { return "" })
	if err != nil {
		return "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[span{from, to}] = f
	return f.Address(), nil
}

// set cuts or heals the links to a node and from it to the monitor. As primary
// it has no other.
func (l *links) set(node string, c forward.Cut) error {
	if l == nil {
		return errors.New("the cluster was started without links that can be cut")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all[span{"", node}] == nil {
		return fmt.Errorf("there is no link to a node %q", node)
	}
	for way, f := range l.all {
		if way.from == node || way.to == node {
			f.Set("", c)
		}
	}
	return nil
}

// limit bounds what each node sends, in bytes a second; 0: it does not.
func (l *links) limit(rate int) {
	if l == nil || rate == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for way, f := range l.all {
		if way.from == "" {
			f.Limit(forward.NewBucket(rate))
		}
	}
}

func (l *links) close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.all {
		_ = f.Close() // the listener only; what it carried is over
	}
}

// Cut cuts a node off from everybody.
func (s subject) Cut(name string) error { return s.links.set(name, forward.Both()) }

// Heal ends a cut.
func (s subject) Heal(name string) error { return s.links.set(name, forward.Cut{}) }
