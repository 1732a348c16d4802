package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/deploy/internal/cluster"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

const (
	readyWithin = 15 * time.Second
	callWithin  = 15 * time.Second
	// againAfter is the pause before the monitor is asked again.
	againAfter = 20 * time.Millisecond
	// removeAtOnce bounds the keys of one request.
	removeAtOnce = 2000
)

// subject is a cluster that is measured.
type subject struct {
	*cluster.Cluster
	links *links // nil: none that can be cut
}

// tempDir makes a directory for a system under test, and what removes it.
func tempDir() (dir string, remove func(), err error) {
	if dir, err = os.MkdirTemp("", "understudy-bench-"); err != nil {
		return "", nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil // it is temporary, and nobody could do more about it
}

// newSubject builds and starts a cluster in a directory; end stops it. The flags
// are the monitor's.
func newSubject(ctx context.Context, dir string, nodes int, linked bool, flags ...string) (s subject, end func(), err error) {
	return newSubjectOf(ctx, dir, nodes, 1, linked, flags...)
}

// newSubjectOf is [newSubject] with several monitors.
func newSubjectOf(ctx context.Context, dir string, nodes, monitors int, linked bool, flags ...string) (s subject, end func(), err error) {
	binaries, err := cluster.Build(ctx)
	if err != nil {
		return s, nil, err
	}
	opts := cluster.Options{Binaries: binaries, Nodes: nodes, Monitors: monitors, Dir: dir, MonitorFlags: flags, Log: zerolog.Nop()}
	if linked {
		s.links = newLinks(ctx)
		opts.Route = s.links.route
	}
	if s.Cluster, err = cluster.Start(ctx, opts); err != nil {
		s.links.close()
		return s, nil, err
	}
	end = func() {
		s.Close()
		s.links.close()
	}
	ready, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := s.WaitReady(ready); err != nil {
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
	if len(view.Groups) == 0 {
		return "", "", errors.New("no primary serves now: no node has joined")
	}
	if g := view.Groups[0]; g.Primary == "" || !g.Serving {
		return "", "", fmt.Errorf("no primary serves now: epoch %d of %q, in sync %v, failover possible: %t %s", g.Epoch, g.Primary, g.InSync, g.Failover.Possible, g.Failover.Reason)
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

// Items returns the keys of a prefix once all copies are at the same position,
// and fails where they differ.
func (s subject) Items(ctx context.Context, prefix string) ([]wire.Item, error) {
	if err := s.WaitQuiet(ctx); err != nil {
		return nil, err
	}
	all, err := s.Agreed(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(it wire.Item) bool { return !strings.HasPrefix(it.Key, prefix) }), nil
}

// Remove deletes keys through the monitor.
func (s subject) Remove(ctx context.Context, keys []string) error {
	for chunk := range slices.Chunk(keys, removeAtOnce) {
		patch := make(map[string]*string, len(chunk))
		for _, k := range chunk {
			patch[k] = nil
		}
		body, err := json.Marshal(patch)
		if err != nil {
			return err
		}
		if err := s.call(ctx, http.MethodPatch, "/v1/state", body); err != nil {
			return err
		}
	}
	return nil
}

// Switchover asks the monitor to change the primary, and again while it says
// that it may be asked again: one that the machine has kept from running learns
// first who is there.
func (s subject) Switchover(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	for {
		err := s.call(ctx, http.MethodPost, "/v1/switchover", []byte("{}"))
		if code := problem.CodeOf(err); err == nil || code != problem.StaleVersion && !code.Meaning().Retryable {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(againAfter):
		}
	}
}

// call sends a request to the monitor; its answer must be a success.
func (s subject) call(ctx context.Context, method, path string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.Monitor()+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Prefer", "return=minimal")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %w", method, path, problem.Parse(res.StatusCode, res.Header, answer))
	}
	return nil
}
