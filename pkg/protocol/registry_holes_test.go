package protocol

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Each test here is a mistake that once lost a write, served two histories or left
// a cluster stuck; it fails when the mistake is made again.

// A asks to add B, then to remove it; both commit, and A acknowledges a write
// alone. A late copy of the addition would put B back without the write.
func TestLateAdditionIsRefused(t *testing.T) {
	c := born(t, "A")
	add := change(c.version(), 1, of("A", 1), "A", "B")
	c.does(add)
	c.does(change(c.version(), 1, of("A", 1), "A"))
	c.refuses(RefuseStaleVersion, add)
	require.Equal(t, []UUID{"A"}, c.group().InSync)
}

// The monitor decides to promote B; meanwhile A removes B and goes on alone.
func TestPromotionDecidedOnAnOlderRecordIsRefused(t *testing.T) {
	c := born(t, "A", "B")
	order := promote(c.version(), of("B", 1))
	c.does(change(c.version(), 1, of("A", 1), "A"))
	c.refuses(RefuseStaleVersion, order)
	require.Equal(t, Epoch(1), c.group().Epoch)
}

func TestEveryGroupCommandNamesItsVersion(t *testing.T) {
	c := born(t, "A", "B")
	for name, cmd := range map[string]func(Version) Command{
		"promote": func(v Version) Command { return promote(v, of("B", 1)) },
		"change":  func(v Version) Command { return change(v, 1, of("A", 1), "A") },
		"members": func(v Version) Command { return members(v, "A", "B") },
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{t: t, reg: c.reg}
			c.refuses(RefuseStaleVersion, cmd(c.version()-1))
			c.refuses(RefuseStaleVersion, cmd(c.version()+1))
			c.refuses(RefuseStaleVersion, cmd(0))
			v := c.version()
			c.does(cmd(v))
			require.Equal(t, v+1, c.version())
		})
	}
}

// An addition without an answer is given up only by committing something else on
// its version: the unchanged set does, for it raises the version too.
func TestUnchangedSetOutdatesWhatIsUnderWay(t *testing.T) {
	c := born(t, "A")
	add := change(c.version(), 1, of("A", 1), "A", "B")
	c.does(change(c.version(), 1, of("A", 1), "A"))
	c.refuses(RefuseStaleVersion, add)
	c.does(members(c.version(), c.group().Members...))
	c.does(promote(c.version(), of("A", 1)))
	c.refuses(RefuseStaleVersion, change(c.version()-1, 2, of("A", 1), "A", "B"))
}

// Two additions are asked on one version. One of them commits, not both.
func TestOnlyOneOfTwoAdditionsOnAVersionCommits(t *testing.T) {
	c := born(t, "A")
	v := c.version()
	c.does(change(v, 1, of("A", 1), "A", "B"))
	c.refuses(RefuseStaleVersion, change(v, 1, of("A", 1), "A", "C"))
	require.Equal(t, []UUID{"A", "B"}, c.group().InSync)
}

// B is in sync, loses its disk and returns empty under its name.
func TestEmptyDirectoryDoesNotInheritTheSet(t *testing.T) {
	c := born(t, "A", "B")
	v := c.version()
	c.does(registerAs("B", "B2", 1))
	require.Equal(t, []UUID{"A", "B"}, c.group().InSync, "the old directory stays until the primary removes it")
	require.Equal(t, []UUID{"A", "B2", "C"}, c.group().Members, "the new one takes its place as a member")
	require.Equal(t, v+1, c.version())
	require.Equal(t, "replaced", c.lastEvent().Kind)
	c.refuses(RefuseWouldLoseData, promote(c.version(), of("B2", 1)))
	c.refuses(RefuseDuplicateNode, promote(c.version(), of("B", 1)))

	c.does(change(c.version(), 1, of("A", 1), "A", "B2"))
	c.does(promote(c.version(), of("B2", 1)))
}

// A primary that has started again is not the primary of its epoch any more.
func TestEpochBelongsToOneBoot(t *testing.T) {
	c := born(t, "A", "B")
	c.does(register("A", 2))
	require.Equal(t, of("A", 1), c.group().Primary)
	c.refuses(RefuseNotPrimary, change(c.version(), 1, of("A", 2), "A"))
	c.refuses(RefuseDuplicateNode, promote(c.version(), of("A", 1)))
	c.does(promote(c.version(), of("A", 2)))
	require.Equal(t, Epoch(2), c.group().Epoch)
	require.Equal(t, of("A", 2), c.group().Primary)
	c.refuses(RefuseNotPrimary, change(c.version(), 2, of("A", 1), "A"))
}

func TestOnlyThePrimaryOfTheRecordChangesTheSet(t *testing.T) {
	c := born(t, "A", "B")
	for name, cmd := range map[string]Command{
		"a standby":     change(c.version(), 1, of("B", 1), "A", "B"),
		"an epoch ago":  change(c.version(), 0, of("A", 1), "A"),
		"an epoch more": change(c.version(), 2, of("A", 1), "A"),
		"another boot":  change(c.version(), 1, of("A", 2), "A"),
		"nobody":        change(c.version(), 1, ReplicaBoot{}, "A"),
	} {
		t.Run(name, func(t *testing.T) {
			(&cluster{t: t, reg: c.reg}).refuses(RefuseNotPrimary, cmd)
		})
	}
	for name, cmd := range map[string]Command{
		"without itself":        change(c.version(), 1, of("A", 1), "B"),
		"with nobody":           change(c.version(), 1, of("A", 1)),
		"with a stranger":       change(c.version(), 1, of("A", 1), "A", "X"),
		"with a replica doubly": change(c.version(), 1, of("A", 1), "A", "B", "B"),
	} {
		t.Run(name, func(t *testing.T) {
			(&cluster{t: t, reg: c.reg}).refuses(RefuseBadRequest, cmd)
		})
	}
}

func TestNobodyChangesTheSetBeforeBirth(t *testing.T) {
	c := founded(t)
	c.refuses(RefuseBadRequest, change(c.version(), 0, ReplicaBoot{}))
	c.refuses(RefuseBadRequest, change(c.version(), 0, ReplicaBoot{}, ""))
	c.refuses(RefuseNotPrimary, change(c.version(), 0, of("A", 1), "A"))
}

func TestFormerMemberIsNotAddedAgain(t *testing.T) {
	c := born(t, "A", "B")
	c.does(members(c.version(), "A", "C"))
	c.does(change(c.version(), 1, of("A", 1), "A", "B", "C")) // still leaving: it may stay for now
	c.does(change(c.version(), 1, of("A", 1), "A", "C"))
	c.refuses(RefuseBadRequest, change(c.version(), 1, of("A", 1), "A", "C", "B"))
}

// A takeover that dies half-way must lock nobody out: the old primary stays a
// candidate until the new one has removed it.
func TestPromotionLeavesTheSetAsItIs(t *testing.T) {
	c := born(t, "A", "B", "C")
	c.does(promote(c.version(), of("B", 1), "A"))
	require.Equal(t, []UUID{"A", "B", "C"}, c.group().InSync)
	require.Equal(t, []UUID{"A"}, c.group().Down)
	require.Equal(t, of("B", 1), c.group().Primary)
	require.Equal(t, "promoted", c.lastEvent().Kind)
	c.does(promote(c.version(), of("A", 1), "B"))
	require.Equal(t, Epoch(3), c.group().Epoch)
}

// The new primary needs a dead standby's acknowledgement before it can serve, and
// so must be able to remove it before it serves.
func TestNewPrimaryRemovesBeforeItServes(t *testing.T) {
	c := born(t, "A", "B", "C")
	c.does(promote(c.version(), of("B", 1), "A"))
	c.does(change(c.version(), 2, of("B", 1), "B", "C"))
	require.Equal(t, []UUID{"B", "C"}, c.group().InSync)
	require.Empty(t, c.group().Down)
	c.refuses(RefuseWouldLoseData, promote(c.version(), of("A", 1)))
}

func TestPromotionOutsideTheSetIsRefused(t *testing.T) {
	c := born(t, "A", "B")
	c.refuses(RefuseWouldLoseData, promote(c.version(), of("C", 1)))
	c.refuses(RefuseDuplicateNode, promote(c.version(), of("X", 1)))
	c.refuses(RefuseDuplicateNode, promote(c.version(), of("B", 2)))
	c.refuses(RefuseBadRequest, promote(c.version(), of("B", 1), "A", "B"))
}

func TestLeavingReplicaIsPromotedOnlyWithoutAnother(t *testing.T) {
	c := born(t, "A", "B", "C")
	c.does(maintenance("B", true))
	c.refuses(RefuseStaleVersion, promote(c.version(), of("B", 1), "A"))
	c.does(promote(c.version(), of("B", 1), "A", "C")) // the others are down
	c = born(t, "A", "B")
	c.does(maintenance("A", true))
	c.does(maintenance("B", true))
	c.does(promote(c.version(), of("B", 1)))
}

// The late word of an earlier boot, or of a directory that was replaced, changes
// nothing: it would start a needless failover, and again with the next.
func TestLateWordOfAReplacedBootChangesNothing(t *testing.T) {
	c := born(t, "A", "B")
	c.does(register("A", 3))
	c.refuses(RefuseDuplicateNode, register("A", 1))
	c.refuses(RefuseDuplicateNode, register("A", 2))
	c.does(registerAs("A", "A2", 1))
	c.refuses(RefuseDuplicateNode, register("A", 3))
	c.refuses(RefuseDuplicateNode, register("A", 2))
	require.Equal(t, UUID("A2"), c.reg.Nodes["A"].UUID)
}

// A registry that was lost or restored old takes no node that has a history.
func TestUnknownJournalIsRefused(t *testing.T) {
	c := &cluster{t: t}
	c.does(Command{Found: &Found{Cluster: "c-1", Settings: DefaultSettings()}})
	lagging := register("C", 9)
	lagging.Register.Empty = false
	c.refuses(RefuseRegistryBehind, lagging)
	require.Empty(t, c.reg.Nodes)

	c = born(t, "A", "B")
	back := register("B", 2)
	back.Register.Empty = false
	c.does(back)
}

// A power cut makes all copies come back under new directories. The old ones stay
// the only candidates, and when one is put back it takes over with everything.
func TestOldDirectoryPutBackIsACandidate(t *testing.T) {
	c := born(t, "A", "B")
	c.does(registerAs("A", "A2", 1))
	c.does(registerAs("B", "B2", 1))
	require.Equal(t, []UUID{"A", "B"}, c.group().InSync)
	c.refuses(RefuseWouldLoseData, promote(c.version(), of("A2", 1)))
	back := register("B", 2)
	back.Register.Empty = false
	c.does(back)
	c.does(promote(c.version(), of("B", 2)))
}

func TestBirth(t *testing.T) {
	c := founded(t)
	c.does(registerAs("D", "D", 1))
	c.refuses(RefuseWouldLoseData, promote(c.version(), of("D", 1))) // no member
	c.refuses(RefuseDuplicateNode, promote(c.version(), of("X", 1))) // not registered
	c.does(promote(c.version(), of("B", 1)))
	require.Equal(t, GroupRecord{
		Version: 2, Epoch: 1, Primary: of("B", 1), InSync: []UUID{"B"}, Members: []UUID{"A", "B", "C"},
	}, c.group())
	require.Equal(t, "born", c.lastEvent().Kind)
	// There is one birth: from now on only the set counts.
	c.refuses(RefuseWouldLoseData, promote(c.version(), of("A", 1)))
}
