package e2e

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/wire"
)

// await polls until the condition holds.
func (s *story) await(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(soon)
	for !holds() {
		if time.Now().After(deadline) {
			view, err := s.View(s.t.Context())
			require.FailNow(s.t, "this never came to be: "+what, "the cluster: %+v (%v)", view.Groups, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *story) awaitQuiet() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), soon)
	defer cancel()
	require.NoError(s.t, s.WaitQuiet(ctx))
}

// group is the monitor's view of the group, zero where it does not answer.
func (s *story) group() wire.GroupView {
	s.t.Helper()
	view, err := s.View(s.t.Context())
	if err != nil || len(view.Groups) != 1 {
		return wire.GroupView{}
	}
	return view.Groups[0]
}

// awaitPrimary waits until the node serves as primary.
func (s *story) awaitPrimary(name string) {
	s.t.Helper()
	s.await(name+" serves as primary", func() bool {
		g := s.group()
		return g.Primary == name && g.Serving
	})
}

// awaitInSync waits until exactly these are in sync.
func (s *story) awaitInSync(names ...string) {
	s.t.Helper()
	s.await(strings.Join(names, " and ")+" are in sync", func() bool { return slices.Equal(s.group().InSync, names) })
}

// awaitRefused waits until the monitor says why nobody is promoted, and checks
// that it names who is awaited.
func (s *story) awaitRefused(awaited string) {
	s.t.Helper()
	s.await("a failover is refused, naming "+awaited, func() bool {
		g := s.group()
		return !g.Serving && !g.Failover.Possible && strings.Contains(g.Failover.Reason, awaited)
	})
}

// staysRefused checks for a while, many expiries long, that nobody is promoted.
func (s *story) staysRefused() {
	s.t.Helper()
	before := s.group()
	for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		g := s.group()
		require.Equal(s.t, before.Epoch, g.Epoch)
		require.False(s.t, g.Serving)
	}
	require.NotContains(s.t, []int{200, 204}, s.put(time.Second, s.Monitor(), "refused", "x"))
}

// status is the node's word on its replica, zero where it does not answer.
func (s *story) status(node string) wire.GroupStatus {
	s.t.Helper()
	hb, err := s.Heartbeat(s.t.Context(), node)
	if err != nil || len(hb.Groups) != 1 {
		return wire.GroupStatus{}
	}
	return hb.Groups[0]
}
