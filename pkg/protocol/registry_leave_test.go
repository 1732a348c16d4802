package protocol

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func leave(node string, n uint64) Command {
	return Command{Leave: &Leave{Node: node, UUID: UUID(node), Boot: boot(n)}}
}

func override(v Version, p ReplicaBoot) Command {
	return Command{Override: &Override{Version: v, Primary: p, Reason: "the room burnt", By: "ann", LossExpected: "5 records", LastHeard: wall}}
}

func TestMaintenanceHoldsOut(t *testing.T) {
	c := born(t, "A", "B")
	c.refuses(RefuseNotFound, maintenance("nobody", true))
	v := c.version()
	c.does(maintenance("B", true))
	require.True(t, c.reg.Nodes["B"].Maintenance)
	require.Equal(t, []UUID{"B"}, c.group().Leaving)
	require.Equal(t, []UUID{"B"}, c.group().HeldOut)
	require.Equal(t, v+1, c.version())
	c.does(maintenance("B", true))
	require.Equal(t, []UUID{"B"}, c.group().Leaving, "once")
	require.Equal(t, v+1, c.version(), "nothing has changed")
	c.does(members(c.version(), "A", "B"))
	require.Equal(t, []UUID{"B"}, c.group().Leaving, "a change of the members keeps the mark")
	c.does(register("B", 2))
	require.Equal(t, []UUID{"B"}, c.group().Leaving, "a restart does not end it")
	c.does(change(c.version(), 1, of("A", 1), "A"))
	require.Equal(t, []UUID{"B"}, c.group().HeldOut)
	c.refuses(RefuseBadRequest, change(c.version(), 1, of("A", 1), "A", "B"))
	c.does(change(c.version(), 1, of("A", 1), "A"))
	c.does(maintenance("B", false))
	require.Empty(t, c.group().HeldOut)
	require.Empty(t, c.group().Leaving)
	c.does(change(c.version(), 1, of("A", 1), "A", "B"))
}

func TestMaintenanceEndedBeforeTheRemoval(t *testing.T) {
	c := born(t, "A", "B")
	c.does(maintenance("B", true))
	c.does(maintenance("B", false))
	require.Empty(t, c.group().Leaving)
	require.Equal(t, []UUID{"A", "B"}, c.group().InSync)
}

// A node comes back with an empty directory while it is in maintenance: the new one
// is held out, and the old one, still in the set, is nobody's any more.
func TestMaintenanceFollowsANewDirectory(t *testing.T) {
	c := born(t, "A", "B")
	c.does(maintenance("B", true))
	c.does(registerAs("B", "B2", 1))
	require.Equal(t, []UUID{"B2"}, c.group().HeldOut)
	require.Equal(t, []UUID{"A", "B2", "C"}, c.group().Members)
	require.Equal(t, []UUID{"B"}, c.group().Leaving)
	c.does(change(c.version(), 1, of("A", 1), "A"))
	c.refuses(RefuseBadRequest, change(c.version(), 1, of("A", 1), "A", "B2"))
}

func TestMembersAndMaintenance(t *testing.T) {
	c := born(t, "A", "B")
	c.does(members(c.version(), "A", "B"))
	v := c.version()
	c.does(maintenance("C", true))
	require.Equal(t, v, c.version(), "C has nothing to do with the group")
	c.does(members(c.version(), "A", "C"))
	require.Equal(t, []UUID{"C"}, c.group().HeldOut)
	require.Equal(t, []UUID{"B"}, c.group().Leaving)
	c.does(maintenance("B", true))
	require.Equal(t, []UUID{"C", "B"}, c.group().HeldOut, "in sync, and no member")
	c.does(maintenance("B", false))
	require.Equal(t, []UUID{"B"}, c.group().Leaving, "it goes on leaving")
	c.does(maintenance("B", true))
	c.does(change(c.version(), 1, of("A", 1), "A"))
	require.Equal(t, []UUID{"C"}, c.group().HeldOut, "it is gone")
}

func TestLeave(t *testing.T) {
	c := born(t, "A", "B")
	c.refuses(RefuseStaleVersion, leave("nobody", 1))
	c.refuses(RefuseStaleVersion, leave("B", 2))
	v := c.version()
	c.does(leave("A", 1))
	c.does(leave("C", 1))
	require.Equal(t, v, c.version(), "the primary does not leave so, and C is not in sync")
	c.does(leave("B", 1))
	require.Equal(t, []UUID{"B"}, c.group().Leaving)
	require.Equal(t, v+1, c.version())
	require.Equal(t, "leaving", c.lastEvent().Kind)
	c.does(leave("B", 1))
	require.Equal(t, v+1, c.version(), "asked again it changes nothing")
	c.does(register("B", 2))
	require.Empty(t, c.group().Leaving)
	c.refuses(RefuseStaleVersion, leave("B", 1))
}

func TestLeavingReplicaIsPromotedOnlyWhereNobodyElseIsLeft(t *testing.T) {
	c := born(t, "A", "B", "C")
	c.does(leave("B", 1))
	c.refuses(RefuseStaleVersion, promote(c.version(), of("B", 1), "A"))
	unfit := promote(c.version(), of("B", 1), "A")
	unfit.Promote.Unfit = []UUID{"C"}
	c.does(unfit)
	require.Equal(t, []UUID{"A"}, c.group().Down, "who is unfit is not down")
}

func TestOverride(t *testing.T) {
	c := born(t, "A", "B")
	c.does(leave("B", 1))
	noReason := override(c.version(), of("C", 1))
	noReason.Override.Reason = " "
	c.refuses(RefuseBadRequest, noReason)
	c.refuses(RefuseStaleVersion, override(c.version()-1, of("C", 1)))
	c.refuses(RefuseDuplicateNode, override(c.version(), of("C", 2)))
	c.refuses(RefuseDuplicateNode, override(c.version(), of("nobody", 1)))
	require.Contains(t, c.refuses(RefuseStaleVersion, override(c.version(), of("B", 1))), "a failover to it loses nothing")
	c.does(override(c.version(), of("C", 1)))
	r := c.group()
	require.Equal(t, Epoch(2), r.Epoch)
	require.Equal(t, Epoch(2), r.OverrideEpoch)
	require.Equal(t, []UUID{"C"}, r.InSync)
	require.Empty(t, r.Leaving)
	e := c.lastEvent()
	require.Equal(t, "override", e.Kind)
	for _, part := range []string{"by ann", "the room burnt", "5 records", "last heard at 2026-03-14T15:09:26Z"} {
		require.Contains(t, e.Detail, part)
	}
	c.refuses(RefuseWouldLoseData, promote(c.version(), of("A", 1)))
	c.does(promote(c.version(), of("C", 1)))
	require.Equal(t, Epoch(2), c.group().OverrideEpoch, "it is remembered")

	c = born(t, "A")
	c.does(members(c.version(), "A", "B"))
	c.does(override(c.version(), of("C", 1)))
	require.Equal(t, []UUID{"A", "B", "C"}, c.group().Members, "it becomes a member")
	founded(t).refuses(RefuseBadRequest, override(founded(t).version(), of("C", 1)))
}
