package main

import (
	"context"
	"time"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/deploy/bench/internal/failover"
	"understudy.example/pkg/understudy"
)

const (
	// proxyTimeout is longer than a monitor holds a request.
	proxyTimeout = 15 * time.Second
	// directTimeout is how long a plain client waits for a primary that is silent.
	directTimeout = time.Second
)

// way is how clients reach the cluster.
type way struct {
	name string
	// open returns a caller for each of many clients, and what ends them all.
	open func(s subject) (caller func() call.Caller, end func(), err error)
}

var ways = []way{
	{"proxy", func(s subject) (func() call.Caller, func(), error) {
		return func() call.Caller { return call.NewHTTP(call.At(s.monitorAddress()), proxyTimeout) }, func() {}, nil
	}},
	{"direct", func(s subject) (func() call.Caller, func(), error) {
		target := func(ctx context.Context) (string, error) {
			_, address, err := s.Primary(ctx)
			return address, err
		}
		return func() call.Caller { return call.NewHTTP(target, directTimeout) }, func() {}, nil
	}},
	{"library", func(s subject) (func() call.Caller, func(), error) { return library(s.monitorAddress()) }},
}

// library opens one client of the library for all callers.
func library(monitor string) (func() call.Caller, func(), error) {
	c, err := understudy.Open(understudy.Options{Monitors: []string{monitor}})
	if err != nil {
		return nil, nil, err
	}
	return func() call.Caller { return call.NewLibrary(c, proxyTimeout) }, c.Close, nil
}

func wayNames() []string {
	var names []string
	for _, w := range ways {
		names = append(names, w.name)
	}
	return names
}

// openWay starts a cluster, with links that can be cut where that is needed, and
// completes the options.
func (p *plan) openWay(ctx context.Context, dir string) (failover.Cluster, func(), error) {
	s, end, err := newSubjectOf(ctx, dir, p.nodes, max(1, p.Kind.Monitors), p.Kind.Linked)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range ways {
		if w.name != p.way {
			continue
		}
		caller, hangUp, err := w.open(s)
		if err != nil {
			end()
			return nil, nil, err
		}
		p.Open, p.Named, p.Conditional = caller, true, true
		return s, func() { hangUp(); end() }, nil
	}
	panic("bench: a way that has been checked is not known")
}
