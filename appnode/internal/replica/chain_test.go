package replica

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/memnet"
	"understudy.example/pkg/protocol"
)

// inChain runs a test with a as the primary and the standbys in a row behind it,
// the first of which takes its stream from a.
func inChain(t *testing.T, standbys int, test func(t *testing.T, r *rig, a *member, row []*member)) {
	t.Helper()
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}[:standbys+1]
	inRig(t, names, func(t *testing.T, r *rig) {
		r.desk.settings.Topology = protocol.Chain
		r.desk.promote("a")
		r.desk.waitInSync(names...)
		row := r.row()
		r.waitChained(row...)
		test(t, r, r.member("a"), row)
	})
}

// row returns the standbys that run in the order of a chain.
func (r *rig) row() []*member {
	var row []*member
	for _, m := range r.members {
		if m.replica != nil && r.desk.record().Primary.UUID != m.dir.UUID() {
			row = append(row, m)
		}
	}
	slices.SortFunc(row, func(x, y *member) int { return strings.Compare(string(x.dir.UUID()), string(y.dir.UUID())) })
	return row
}

// waitChained waits until each takes its stream from the one before it, and the
// first from the primary.
func (r *rig) waitChained(row ...*member) {
	r.t.Helper()
	r.eventually("the streams to go along the chain", func() bool {
		up := r.desk.record().Primary.UUID
		for _, m := range row {
			if m.replica.Status().Upstream != up {
				return false
			}
			up = m.dir.UUID()
		}
		return true
	})
}

func TestRecordsPassAlongAChain(t *testing.T) {
	for _, standbys := range []int{2, 4, 8} {
		t.Run(fmt.Sprint(standbys), func(t *testing.T) {
			inChain(t, standbys, func(t *testing.T, r *rig, a *member, row []*member) {
				before, asked := testutil.ToFloat64(a.replica.opts.Metrics.streamed), len(r.desk.asked)
				value := strings.Repeat("v", 10<<10)
				for i := range 20 {
					out := a.write(fmt.Sprintf("k-%d", i), value)
					require.Equal(t, standbys+1, out.Copies, "every copy is acknowledged by itself")
				}
				sent := testutil.ToFloat64(a.replica.opts.Metrics.streamed) - before
				require.Less(t, sent, 20*1.2*float64(len(value)), "the primary sends each record once")
				for _, m := range row[:standbys-1] {
					require.Greater(t, testutil.ToFloat64(m.replica.opts.Metrics.relayed), 20.*float64(len(value)), m.name)
				}
				r.sameState(append(row, a)...)
				last := row[standbys-1]
				a.write("k", "new")
				require.Equal(t, answered{value: "new"}, <-last.reads("k"), "questions and confirms pass as well")
				require.Len(t, r.desk.asked, asked, "nobody was held for slow")
			})
		})
	}
}

// What goes on is the stream of the primary: whoever was removed meanwhile, whoever
// moved, nothing was asked for but the additions of the beginning.
func TestMovingToAChainLosesNobody(t *testing.T) {
	inRig(t, []string{"a", "b", "c", "d"}, func(t *testing.T, r *rig) {
		r.desk.promote("a")
		r.desk.waitInSync("a", "b", "c", "d")
		a, asked := r.member("a"), len(r.desk.asked)
		for _, topology := range []string{protocol.Chain, protocol.Star, protocol.Chain} {
			r.desk.settings.Topology = topology
			r.desk.tellAll()
			for i := range 300 {
				a.write(fmt.Sprintf("k-%d", i), topology)
				time.Sleep(10 * time.Millisecond)
			}
			if topology == protocol.Chain {
				r.waitChained(r.row()...)
			} else {
				for _, m := range r.row() {
					require.Equal(t, a.dir.UUID(), m.replica.Status().Upstream, m.name)
				}
			}
		}
		require.Len(t, r.desk.asked, asked)
		r.sameState(r.members...)
	})
}

// The disk of a standby takes longer than a closed connection may stay away: its
// move waits for the disk, and nobody misses it.
func TestMovingWaitsForASlowDisk(t *testing.T) {
	inRig(t, []string{"a", "b", "c"}, func(t *testing.T, r *rig) {
		r.desk.promote("a")
		r.desk.waitInSync("a", "b", "c")
		r.desk.settings.Topology = protocol.Chain
		r.desk.tellAll()
		a, row, asked := r.member("a"), r.row(), len(r.desk.asked)
		time.Sleep(chainCalm - 20*time.Millisecond)
		release := stall(t, row[1], "journal sync")
		done := a.begin(r.put("k", "v"))
		time.Sleep(20*time.Millisecond + 3*protocol.DefaultReplicaConfig().ReturnGrace)
		release()
		require.NoError(t, (<-done).err)
		r.waitChained(row...)
		require.Len(t, r.desk.asked, asked, "it stays in sync")
		r.sameState(r.members...)
	})
}

// So does the connection before: the primary learns of the move from the new one.
func TestMovingWaitsForAnUpstreamThatIsFarAway(t *testing.T) {
	inRig(t, []string{"a", "b", "c"}, func(t *testing.T, r *rig) {
		r.desk.promote("a")
		r.desk.waitInSync("a", "b", "c")
		row, asked := r.row(), len(r.desk.asked)
		r.net.SetLink(row[1].name, row[0].name, memnet.Link{Delay: 2 * protocol.DefaultReplicaConfig().ReturnGrace})
		r.desk.settings.Topology = protocol.Chain
		r.desk.tellAll()
		r.waitChained(row...)
		r.net.HealAll()
		r.member("a").write("k", "v")
		time.Sleep(time.Second)
		require.Len(t, r.desk.asked, asked, "it stays in sync")
	})
}

// Nobody is left without records by a standby that hears of another topology before
// those behind it do.
func TestWhoIsBehindHearsLaterOfTheStar(t *testing.T) {
	inChain(t, 2, func(t *testing.T, r *rig, a *member, row []*member) {
		star := r.desk.settings
		star.Topology = protocol.Star
		row[0].replica.Settings(star)
		for range 3 {
			out := <-a.begin(r.put("k", "v"))
			require.NoError(t, out.err)
			require.Less(t, out.took, 50*time.Millisecond)
		}
		require.Equal(t, row[0].dir.UUID(), row[1].replica.Status().Upstream)
	})
}

func TestALinkOfTheChainCrashes(t *testing.T) {
	inChain(t, 3, func(t *testing.T, r *rig, a *member, row []*member) {
		asked := len(r.desk.asked)
		row[0].crash()
		out := <-a.begin(r.put("k", "v"))
		require.NoError(t, out.err)
		require.Less(t, out.took, 150*time.Millisecond)
		r.desk.waitInSync("a", row[1].name, row[2].name)
		for _, c := range r.desk.asked[asked:] {
			require.Contains(t, c.InSync, row[1].dir.UUID(), "who was behind it went to the primary in time")
		}
		row[0].start()
		r.desk.waitInSync("a", "b", "c", "d")
		r.waitChained(r.row()...)
		r.sameState(r.members...)
	})
}

func TestAFrozenLinkCostsItsOwnCopyAlone(t *testing.T) {
	inChain(t, 3, func(t *testing.T, r *rig, a *member, row []*member) {
		asked := len(r.desk.asked)
		r.net.Freeze(row[0].name)
		out := <-a.begin(r.put("k", "v"))
		require.NoError(t, out.err)
		require.Less(t, out.took, 700*time.Millisecond)
		r.desk.waitInSync("a", row[1].name, row[2].name)
		for _, c := range r.desk.asked[asked:] {
			require.Contains(t, c.InSync, row[1].dir.UUID())
			require.Contains(t, c.InSync, row[2].dir.UUID())
		}
		r.net.Unfreeze(row[0].name)
		r.desk.waitInSync("a", "b", "c", "d")
		r.waitChained(r.row()...)
		r.sameState(r.members...)
	})
}

// So does one to whom records come slowly, though it is never silent.
func TestASlowLinkCostsItsOwnCopyAlone(t *testing.T) {
	inChain(t, 3, func(t *testing.T, r *rig, a *member, row []*member) {
		asked := len(r.desk.asked)
		r.net.SetLink("a", row[0].name, memnet.Link{Rate: 500 << 10})
		value := strings.Repeat("v", 10<<10)
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			a.begin(r.put("k", value))
		}
		for _, c := range r.desk.asked[asked:] {
			require.Contains(t, c.InSync, row[1].dir.UUID(), c.Reason)
			require.Contains(t, c.InSync, row[2].dir.UUID(), c.Reason)
		}
		require.NotContains(t, r.desk.inSync(), row[0].name, "it was too slow")
		r.net.HealAll()
		r.desk.waitInSync("a", "b", "c", "d")
		r.waitChained(r.row()...)
		r.sameState(r.members...)
	})
}

// A link whose disk stalls passes on what it cannot keep itself.
func TestALinkWithAStalledDiskPassesOn(t *testing.T) {
	inChain(t, 2, func(t *testing.T, r *rig, a *member, row []*member) {
		release := row[0].disk.Stall("journal sync")
		defer release()
		out := <-a.begin(r.put("k", "v"))
		require.NoError(t, out.err)
		require.Less(t, out.took, 700*time.Millisecond)
		r.desk.waitInSync("a", row[1].name)
	})
}

// The new primary's chain is another one; tails that differ are cut before it is
// there.
func TestAChainAfterAFailover(t *testing.T) {
	inChain(t, 3, func(t *testing.T, r *rig, a *member, row []*member) {
		for i := range 3 {
			a.write(fmt.Sprintf("k-%d", i), "v")
			p := r.byUUID(r.desk.record().Primary.UUID)
			next := r.row()[0]
			open := p.begin(r.put("open", fmt.Sprint(i)))
			p.crash()
			<-open
			r.desk.promote(next.name, p.name)
			p.start()
			r.desk.waitInSync("a", "b", "c", "d")
			r.waitChained(r.row()...)
			next.write("k", fmt.Sprint(i))
			r.sameState(r.members...)
			a = next
		}
	})
}

// A standby that is behind what its upstream keeps is fed by the primary, and
// goes back to the chain when it is not.
func TestAChainRefillsFromThePrimary(t *testing.T) {
	inChain(t, 2, func(t *testing.T, r *rig, a *member, row []*member) {
		row[1].crash()
		r.desk.waitInSync("a", row[0].name)
		a.fill("meanwhile", 200<<10)
		row[1].start()
		r.desk.waitInSync("a", "b", "c")
		r.waitChained(row...)
		r.sameState(r.members...)
	})
}

// An upstream that cannot pass anything on is left alone for longer and longer.
func TestAnUpstreamThatFailsIsTriedLessAndLess(t *testing.T) {
	inChain(t, 2, func(t *testing.T, r *rig, a *member, row []*member) {
		r.net.Cut(row[1].name, row[0].name)
		r.eventually("the way straight to the primary", func() bool {
			return row[1].replica.Status().Upstream == a.dir.UUID()
		})
		asked, dialled := len(r.desk.asked), row[1].dialled.Load()
		for range 60 {
			require.NoError(t, (<-a.begin(r.put("k", "v"))).err)
			time.Sleep(time.Second)
		}
		require.Len(t, r.desk.asked, asked, "it stays in sync")
		require.LessOrEqual(t, row[1].dialled.Load()-dialled, int64(7))
		r.net.HealAll()
		r.eventually("the way along the chain", func() bool {
			return row[1].replica.Status().Upstream == row[0].dir.UUID()
		})
	})
}

// A standby that is to leave passes nothing on: the ones behind it are moved
// before it goes.
func TestWhoeverIsBehindALeavingStandbyGoesToThePrimary(t *testing.T) {
	inChain(t, 2, func(t *testing.T, r *rig, a *member, row []*member) {
		asked := len(r.desk.asked)
		r.desk.apply(protocol.Command{SetMaintained: &protocol.SetMaintenance{Node: row[0].name, On: true}})
		r.desk.waitInSync("a", row[1].name)
		r.eventually("the way straight to the primary", func() bool {
			return row[1].replica.Status().Upstream == a.dir.UUID()
		})
		for _, c := range r.desk.asked[asked:] {
			require.Contains(t, c.InSync, row[1].dir.UUID())
		}
		v, err := row[1].read(store.Linearizable, "k")
		require.NoError(t, err)
		require.Empty(t, v)
	})
}
