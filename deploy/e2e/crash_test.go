package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAKilledPrimaryIsReplaced(t *testing.T) {
	s := tell(t)
	s.write()
	lines := len(s.logged("m1"))
	s.kill("app1")
	s.awaitPrimary("app2")
	s.moreAcknowledged(50)
	s.rest()
	require.Less(t, s.awaitComplete(lines)["serving_ms"], 1000.0)
	require.Less(t, s.ledger.Counts().LongestGap, 2*time.Second)
	s.start("app1")
	s.settled()
}

func TestAPrimaryThatRestartsAtOnceBeginsANewEpoch(t *testing.T) {
	s := tell(t)
	s.write()
	for range 3 {
		before := s.group()
		s.kill(before.Primary)
		s.start(before.Primary)
		s.await("another epoch begins", func() bool { return s.group().Epoch > before.Epoch })
		s.awaitInSync("app1", "app2")
		s.moreAcknowledged(20)
	}
	s.rest()
	s.settled()
}

func TestAPrimaryThatRestartsEmptyIsNeverTrusted(t *testing.T) {
	s := tell(t)
	s.write()
	old, err := s.Heartbeat(t.Context(), "app1")
	require.NoError(t, err)
	s.kill("app1")
	s.wipe("app1")
	s.start("app1")
	s.awaitPrimary("app2")
	s.awaitInSync("app1", "app2")
	s.moreAcknowledged(20)
	s.rest()
	s.settled()
	fresh, err := s.Heartbeat(t.Context(), "app1")
	require.NoError(t, err)
	require.NotEqual(t, old.UUID, fresh.UUID)
	require.Equal(t, "app2", s.group().Primary)
	require.Empty(t, s.said("app1", 0, "the journal is corrupt, this replica waits to be left out of the in-sync set"))
}

func TestAStandbyThatRestartsEmptyIsNeverPromoted(t *testing.T) {
	s := tell(t)
	s.write()
	s.rest()
	s.kill("m1", "app1", "app2") // the monitor first, so that it promotes nobody meanwhile
	s.wipe("app2")
	s.start("m1", "app2")
	s.awaitRefused("app1 is down")
	s.staysRefused()
	require.Zero(t, s.status("app2").Position.Seq)
	s.start("app1")
	s.settled()
	require.Equal(t, "app1", s.group().Primary)
}

func TestATailThatNobodyElseHadIsSetAside(t *testing.T) {
	s := tell(t, links)
	s.write()
	s.rest()
	before := s.status("app1").Position
	s.cutPeers()
	// The standby is removed 500 ms after an answer is due: until then the
	// write waits for it.
	require.Zero(t, s.put(50*time.Millisecond, s.Node("app1"), "tail", "lost"))
	require.Equal(t, before.Seq+1, s.status("app1").Position.Seq)
	s.kill("app1")
	s.awaitPrimary("app2")
	s.healPeers()
	require.Equal(t, 204, s.put(5*time.Second, s.Monitor(), "other", "kept"))
	s.start("app1")
	s.settled()
	aside := s.said("app1", 0, "records that the primary does not have were set aside")
	require.Len(t, aside, 1)
	require.EqualValues(t, 1, aside[0]["records"])
	require.FileExists(t, aside[0]["file"].(string))
	require.False(t, s.has("app1", "tail"))
	require.True(t, s.has("app1", "other"))
}

func TestAStandbyThatDiesIsLeftOutAndTakenBack(t *testing.T) {
	for name, blow := range map[string]struct {
		hit, restore func(*story)
		pause        time.Duration
	}{
		"killed": {func(s *story) { s.kill("app2") }, func(s *story) { s.start("app2") }, time.Second},
		"frozen": {func(s *story) { s.freeze("app2") }, func(s *story) { s.thaw("app2") }, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := tell(t)
			s.write()
			blow.hit(s)
			s.awaitInSync("app1")
			s.await("app1 says that it is alone", func() bool { return s.status("app1").State == "primary-alone" })
			s.moreAcknowledged(20)
			blow.restore(s)
			s.awaitInSync("app1", "app2")
			s.moreAcknowledged(20)
			s.rest()
			require.Less(t, s.ledger.Counts().LongestGap, blow.pause)
			s.settled()
			require.EqualValues(t, 1, s.group().Epoch)
		})
	}
}

func TestAStandbyThatMissedWritesIsNotPromoted(t *testing.T) {
	s := tell(t)
	s.write()
	s.kill("app2")
	s.awaitInSync("app1")
	s.moreAcknowledged(20)
	s.kill("app1")
	s.rest()
	s.start("app2")
	s.awaitRefused("app1 is down")
	s.staysRefused()
	s.start("app1")
	s.awaitPrimary("app1")
	s.settled()
}

func TestAFormerPrimaryThatMissedWritesIsNotPromoted(t *testing.T) {
	s := tell(t)
	s.write()
	s.kill("app1")
	s.awaitInSync("app2")
	s.moreAcknowledged(20)
	s.kill("app2")
	s.rest()
	s.start("app1")
	s.awaitRefused("app2 is down")
	s.staysRefused()
	s.start("app2")
	s.awaitPrimary("app2")
	s.settled()
}

func TestATakeoverThatDiesHalfWayLocksNobodyOut(t *testing.T) {
	s := tell(t, links)
	s.write()
	s.rest()
	// The monitor hears app2 through its own probes and orders it to take over,
	// but app2 cannot ask for app1 to be removed.
	s.ways["app2>m1"].Set(monitors, bothWays)
	s.kill("app1")
	s.await("app2 is promoted", func() bool { return s.group().Epoch == 2 })
	s.kill("app2")
	g := s.group()
	require.Equal(t, "app2", g.Primary)
	require.Equal(t, []string{"app1", "app2"}, g.InSync)
	s.ways["app2>m1"].Break(monitors) // what app2 asked for is lost with it
	s.ways["app2>m1"].Set(monitors, noCut)
	s.start("app1")
	s.awaitPrimary("app1")
	require.EqualValues(t, 3, s.group().Epoch)
	s.start("app2")
	s.settled()
}

func TestAllDieTogether(t *testing.T) {
	for name, order := range map[string][]string{
		"app1 returns first": {"app1", "app2"},
		"app2 returns first": {"app2", "app1"},
		"with the monitor":   {"app2", "m1", "app1"},
		"the monitor last":   {"app1", "app2", "m1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := tell(t)
			s.write()
			for _, who := range []string{"m1", "app1", "app2"} {
				if slices.Contains(order, who) {
					s.kill(who)
				}
			}
			s.start(order[0])
			s.start(order[1:]...)
			s.awaitInSync("app1", "app2")
			s.moreAcknowledged(20)
			s.rest()
			s.settled() // what is not there now must not come back:
			s.write()
			s.rest()
			s.settled()
		})
	}
}
