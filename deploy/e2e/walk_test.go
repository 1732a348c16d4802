package e2e

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/cluster"
)

// TestTheWalk goes the whole way of a first user, and then ten times more under
// load.
func TestTheWalk(t *testing.T) {
	s := tellAlone(t, func(_ *story, o *cluster.Options) { o.Respawn = 300 * time.Millisecond })
	born := s.state("primary")
	require.Equal(t, "Ada", born["name"])
	require.Equal(t, born, s.state("standby"))

	file := s.file("person", "# a comment\nid=999\nname=Paola\n")
	want := maps.Clone(born)
	want["id"], want["name"] = "999", "Paola"
	require.Equal(t, want, s.parse(s.client("-update", "-file", file)))
	require.Equal(t, want, s.state("standby"))

	lines := len(s.logged("m1"))
	killed := s.client("-kill-primary")
	began := time.Now()
	require.Zero(t, killed.code, killed.stderr)
	require.Regexp(t, `^killed app1\napp2 took over in epoch 2 after \d+ ms\n$`, killed.stdout)
	require.Equal(t, want, s.parse(s.client("-update", "-file", file)))
	require.Less(t, time.Since(began), time.Second)
	s.tellsTheFailover(lines)

	s.awaitQuiet() // app1 comes back by itself, with everything
	require.Equal(t, want, s.state("app1"))
	require.Equal(t, want, s.state("standby"))
	s.tenMore()
	for _, who := range []string{"primary", "app1", "app2"} {
		require.Equal(t, s.state("standby"), s.state(who), who)
	}
}

// TestTheWalkWithASpare has a standby die: the spare takes its place by itself, and
// the dead one is the spare when it is back.
func TestTheWalkWithASpare(t *testing.T) {
	s := tell(t, three, with([]string{"-replace-after", "1s"}, nil), func(_ *story, o *cluster.Options) {
		o.WantCopies, o.Respawn = 2, 5*time.Second
	})
	require.Zero(t, s.client("-put", "name=Grace").code)
	born := s.group()
	victim := born.InSync[0]
	if victim == born.Primary {
		victim = born.InSync[1]
	}
	s.await("the spare is known", func() bool { return len(s.group().Spares) == 1 })
	spare := s.group().Spares[0]
	require.Equal(t, "killed "+victim+"\n", s.client("-kill", victim).stdout)
	s.await("the spare is in sync", func() bool { return len(s.group().InSync) == 2 && slices.Contains(s.group().InSync, spare) })
	require.Equal(t, "Grace", s.state(spare)["name"])
	require.Contains(t, s.client("-history").stdout, victim+" has not been heard for 1s: "+spare+" takes its place")
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	require.NoError(t, s.WaitWell(ctx))
	require.Regexp(t, `(?m)^`+victim+` +0 +none +spare `, s.client("-status").stdout)
	require.EqualValues(t, 1, s.group().Epoch, "no failover was needed")
	s.settled()
}

// tellsTheFailover checks the monitor's story of the failover in its log.
func (s *story) tellsTheFailover(skip int) {
	s.t.Helper()
	var retries []string
	for _, line := range s.said("m1", skip, "heartbeat connection lost, retrying") {
		require.Equal(s.t, "app1", line["subject"])
		retries = append(retries, line["retry"].(string))
	}
	require.Equal(s.t, []string{"1/3", "2/3", "3/3"}, retries)
	over := s.said("m1", skip, "primary down, failing over")
	require.Len(s.t, over, 1)
	require.Contains(s.t, over[0]["detail"], "app2 takes over in epoch 2")
	complete := s.awaitComplete(skip)
	var timeline []float64
	for _, step := range []string{"suspected_ms", "declared_ms", "committed_ms", "accepted_ms", "serving_ms"} {
		timeline = append(timeline, complete[step].(float64))
	}
	require.True(s.t, slices.IsSorted(timeline), "%v", timeline)
	require.Less(s.t, timeline[4], 1000.0)
	s.t.Logf("served %.0f ms after the last sign of life, steps %v", timeline[4], timeline)
}

// tenMore kills the primary ten times under load.
func (s *story) tenMore() {
	s.t.Helper()
	s.write()
	for range 10 {
		killed := s.client("-kill-primary")
		require.Zero(s.t, killed.code, killed.stderr)
		require.Contains(s.t, killed.stdout, " took over in epoch ")
		s.moreAcknowledged(20)
		s.awaitInSync(s.Nodes()...)
		s.moreAcknowledged(20)
	}
	s.rest()
	s.settled()
	n := s.ledger.Counts()
	s.t.Logf("%d writes acknowledged, %d of unknown outcome, longest pause %s", n.Acknowledged, n.Unknown, n.LongestGap.Round(time.Millisecond))
	require.Positive(s.t, strings.Count(s.client("-history").stdout, "failover"))
}
