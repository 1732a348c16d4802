package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/deploy/internal/cluster"
	"understudy.example/pkg/wire"
)

const readyWithin = 15 * time.Second

// subject is a cluster that is measured.
type subject struct{ *cluster.Cluster }

// newSubject builds and starts a cluster in a temporary directory; end stops it
// and removes the directory.
func newSubject(ctx context.Context, nodes int) (s subject, end func(), err error) {
	binaries, err := cluster.Build(ctx)
	if err != nil {
		return s, nil, err
	}
	dir, err := os.MkdirTemp("", "understudy-bench-")
	if err != nil {
		return s, nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	remove := func() { _ = os.RemoveAll(dir) }
	s.Cluster, err = cluster.Start(ctx, cluster.Options{Binaries: binaries, Nodes: nodes, Monitors: 1, Dir: dir, Log: zerolog.Nop()})
	if err != nil {
		remove()
		return s, nil, err
	}
	end = func() {
		s.Close()
		remove()
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := s.WaitReady(ctx); err != nil {
		end()
		return s, nil, err
	}
	return s, end, nil
}

// Primary returns the node that serves group 0 now.
func (s subject) Primary(ctx context.Context) (name, address string, err error) {
	view, err := s.View(ctx)
	if err != nil {
		return "", "", err
	}
	return primary(view)
}

func primary(view wire.Cluster) (name, address string, err error) {
	if len(view.Groups) == 0 || view.Groups[0].Primary == "" || !view.Groups[0].Serving {
		return "", "", errors.New("no primary serves now")
	}
	name = view.Groups[0].Primary
	for _, n := range view.Nodes {
		if n.Name == name {
			return name, n.Address, nil
		}
	}
	return "", "", fmt.Errorf("the monitor names %s as primary, but not its address", name)
}

func (s subject) monitorAddress() string { return strings.TrimPrefix(s.Monitor(), "http://") }
