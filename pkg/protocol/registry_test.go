package protocol

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
)

var wall = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// cluster tells a story to a registry, a command at a time.
type cluster struct {
	t   *testing.T
	reg Registry
}

// boot returns the n-th boot of a test's nodes.
func boot(n uint64) Boot { return Boot{Count: n, Nonce: fmt.Sprintf("n%d", n)} }

// of names the n-th boot of a replica.
func of(u UUID, n uint64) ReplicaBoot { return ReplicaBoot{UUID: u, Boot: boot(n)} }

// founded returns a cluster of the nodes A, B and C, whose directories A, B and C
// are members of group 0 and empty.
func founded(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t}
	s := DefaultSettings()
	s.WantCopies = 3
	c.does(Command{Found: &Found{Cluster: "c-1", Settings: s}})
	for _, u := range []UUID{"A", "B", "C"} {
		c.does(register(u, 1))
	}
	c.does(members(c.version(), "A", "B", "C"))
	return c
}

// born returns a cluster whose primary is A, with the given in-sync set.
func born(t *testing.T, inSync ...UUID) *cluster {
	t.Helper()
	c := founded(t)
	c.does(promote(c.version(), of("A", 1)))
	c.does(change(c.version(), 1, of("A", 1), inSync...))
	return c
}

func (c *cluster) group() GroupRecord { return c.reg.Groups[0] }
func (c *cluster) version() Version   { return c.group().Version }

// does applies a command that must be accepted, and must leave the older value be.
func (c *cluster) does(cmd Command) {
	c.t.Helper()
	cmd.At = wall
	before := toJSON(c.t, c.reg)
	next, r := c.reg.Apply(cmd)
	require.Nil(c.t, r, "refused: %v", r)
	require.Equal(c.t, before, toJSON(c.t, c.reg), "an older registry was changed")
	c.reg = next
}

// refuses applies a command that must be refused with code, and change nothing. It
// returns the sentence for people.
func (c *cluster) refuses(code RefusalCode, cmd Command) string {
	c.t.Helper()
	before := toJSON(c.t, c.reg)
	next, r := c.reg.Apply(cmd)
	require.NotNil(c.t, r, "not refused")
	require.Equal(c.t, code, r.Code, r.Detail)
	require.NotEmpty(c.t, r.Detail)
	require.Equal(c.t, c.reg, next)
	require.Equal(c.t, before, toJSON(c.t, c.reg))
	return r.Error()
}

func (c *cluster) lastEvent() HistoryEvent { return c.reg.History[len(c.reg.History)-1] }

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

// register enters the empty directory u as the node named like it.
func register(u UUID, n uint64) Command { return registerAs(string(u), u, n) }

func registerAs(name string, u UUID, n uint64) Command {
	return Command{Register: &Register{Empty: true, Node: NodeEntry{
		Name: name, UUID: u, Boot: boot(n), Address: name + ":1", Priority: DefaultPriority,
	}}}
}

func promote(v Version, p ReplicaBoot, down ...UUID) Command {
	return Command{Promote: &Promote{Version: v, Primary: p, Down: down, Reason: "test"}}
}

func change(v Version, e Epoch, p ReplicaBoot, set ...UUID) Command {
	return Command{ChangeInSync: &ChangeInSync{Version: v, Epoch: e, Primary: p, InSync: set, Reason: "test"}}
}

func members(v Version, set ...UUID) Command {
	return Command{SetMembers: &SetMembers{Version: v, Members: set, Reason: "test"}}
}

func maintenance(node string, on bool) Command {
	return Command{SetMaintained: &SetMaintenance{Node: node, On: on}}
}

func TestEveryRefusalIsACodeOfTheHTTPInterface(t *testing.T) {
	for _, c := range RefusalCodes() {
		require.Contains(t, problem.Codes(), problem.Code(c))
	}
}

func TestFound(t *testing.T) {
	c := &cluster{t: t}
	bad := DefaultSettings()
	bad.Retries = 0
	c.refuses(RefuseBadRequest, Command{Found: &Found{Settings: DefaultSettings()}})
	c.refuses(RefuseBadRequest, Command{Found: &Found{Cluster: "c-1", Settings: bad}})
	c.refuses(RefuseWrongCluster, register("A", 1))
	c.does(Command{Found: &Found{Cluster: "c-1", Settings: DefaultSettings()}})
	require.Equal(t, "c-1", c.reg.Cluster)
	require.Equal(t, DefaultSettings(), c.reg.Settings)
	c.refuses(RefuseWrongCluster, Command{Found: &Found{Cluster: "c-2", Settings: DefaultSettings()}})
	c.refuses(RefuseBadRequest, Command{})
}

func TestSetConfig(t *testing.T) {
	c := founded(t)
	s := DefaultSettings()
	s.Paused = true
	c.does(Command{SetConfig: &SetConfig{Settings: s}})
	require.True(t, c.reg.Settings.Paused)
	s.MinCopies = 5
	why := c.refuses(RefuseBadRequest, Command{SetConfig: &SetConfig{Settings: s}})
	require.Contains(t, why, "min-copies")
}

func TestRegister(t *testing.T) {
	c := founded(t)
	require.Equal(t, "joined", c.reg.History[1].Kind)
	again := register("A", 1)
	again.Register.Node.Address = "elsewhere:1"
	again.Register.Node.Priority = 7
	version, events := c.version(), len(c.reg.History)
	c.does(again)
	require.Equal(t, "elsewhere:1", c.reg.Nodes["A"].Address)
	require.Equal(t, 7, c.reg.Nodes["A"].Priority)
	require.Empty(t, c.reg.Nodes["A"].Replaced)
	require.Len(t, c.reg.History, events, "a new address is no event")
	require.Equal(t, version, c.version())

	c.does(register("A", 2))
	require.Equal(t, []ReplicaBoot{of("A", 1)}, c.reg.Nodes["A"].Replaced)
	require.Equal(t, "restarted", c.lastEvent().Kind)
}

func TestRegisterRefuses(t *testing.T) {
	c := founded(t)
	c.does(register("A", 5))
	copied := register("A", 5)
	copied.Register.Node.Boot.Nonce = "other"
	stranger := registerAs("new", "X", 1)
	stranger.Register.Empty = false
	blank := func(f func(*NodeEntry)) Command {
		cmd := registerAs("new", "X", 1)
		f(&cmd.Register.Node)
		return cmd
	}
	for name, x := range map[string]struct {
		code RefusalCode
		cmd  Command
	}{
		"earlier boot":          {RefuseDuplicateNode, register("A", 1)},
		"unlisted earlier boot": {RefuseDuplicateNode, register("A", 3)},
		"copied directory":      {RefuseDuplicateNode, copied},
		"directory of another":  {RefuseDuplicateNode, registerAs("new", "B", 9)},
		"unknown journal":       {RefuseRegistryBehind, stranger},
		"no name":               {RefuseBadRequest, blank(func(n *NodeEntry) { n.Name = "" })},
		"no uuid":               {RefuseBadRequest, blank(func(n *NodeEntry) { n.UUID = "" })},
		"no boot":               {RefuseBadRequest, blank(func(n *NodeEntry) { n.Boot = Boot{} })},
		"no address":            {RefuseBadRequest, blank(func(n *NodeEntry) { n.Address = "" })},
	} {
		t.Run(name, func(t *testing.T) {
			(&cluster{t: t, reg: c.reg}).refuses(x.code, x.cmd)
		})
	}
	require.True(t, c.reg.Knows("A") && !c.reg.Knows("X"))
}

func TestReplacedBootsAreBounded(t *testing.T) {
	c := founded(t)
	const last = MaxReplaced + 3
	for n := uint64(2); n <= last; n++ {
		c.does(register("A", n))
	}
	replaced := c.reg.Nodes["A"].Replaced
	require.Len(t, replaced, MaxReplaced)
	require.Equal(t, of("A", last-1), replaced[MaxReplaced-1], "newest last")

	// Boots that the list has forgotten stay replaced, those of a directory
	// that is itself replaced among them.
	c.refuses(RefuseDuplicateNode, register("A", 1))
	c.does(registerAs("A", "A2", 1))
	c.refuses(RefuseDuplicateNode, register("A", 1))
	c.refuses(RefuseDuplicateNode, register("A", last))
	c.does(register("A", last+1)) // the old directory is put back
	require.Equal(t, UUID("A"), c.reg.Nodes["A"].UUID)
}

func TestSetMembers(t *testing.T) {
	c := born(t, "A", "B")
	c.refuses(RefuseBadRequest, members(c.version()))
	c.refuses(RefuseBadRequest, members(c.version(), "A", "nobody"))
	c.refuses(RefuseBadRequest, members(c.version(), "A", "A"))
	c.does(members(c.version(), "A", "C"))
	require.Equal(t, []UUID{"A", "C"}, c.group().Members)
	require.Equal(t, []UUID{"A", "B"}, c.group().InSync, "only the primary removes")
	require.Equal(t, []UUID{"B"}, c.group().Leaving)
	c.does(members(c.version(), "A", "B", "C"))
	require.Empty(t, c.group().Leaving, "back before it left")
}

func TestLeavingMarkGoesWithTheRemovalOrANewBoot(t *testing.T) {
	c := born(t, "A", "B", "C")
	c.does(leave("B", 1))
	c.does(leave("C", 1))
	c.does(change(c.version(), 1, of("A", 1), "A", "C"))
	require.Equal(t, []UUID{"C"}, c.group().Leaving)
	v := c.version()
	c.does(register("C", 2))
	require.Empty(t, c.group().Leaving)
	require.Greater(t, c.version(), v)
}

func TestNewBootOfAFormerMemberStaysLeaving(t *testing.T) {
	c := born(t, "A", "B")
	c.does(members(c.version(), "A", "C"))
	c.does(register("B", 2))
	require.Equal(t, []UUID{"B"}, c.group().Leaving)
}

func TestDownGoesWithTheRemoval(t *testing.T) {
	c := born(t, "A", "B", "C")
	c.does(promote(c.version(), of("B", 1), "A", "C"))
	require.Equal(t, []UUID{"A", "C"}, c.group().Down)
	c.does(change(c.version(), 2, of("B", 1), "B", "C"))
	require.Equal(t, []UUID{"C"}, c.group().Down)
	c.does(promote(c.version(), of("B", 1)))
	require.Empty(t, c.group().Down, "each promotion says it anew")
}

func TestHistory(t *testing.T) {
	c := born(t, "A", "B")
	c.does(change(c.version(), 1, of("A", 1), "A", "C"))
	e := c.lastEvent()
	require.Equal(t, "added C; removed B; test", e.Detail)
	require.Equal(t, c.reg.NextID, e.ID)
	require.Equal(t, c.version(), e.Version)
	require.Equal(t, wall, e.At)
	c.does(change(c.version(), 1, of("A", 1), "A", "C"))
	require.Equal(t, "unchanged; test", c.lastEvent().Detail)

	for i := range MaxHistory + 5 {
		c.reg, _ = c.reg.Apply(Command{At: wall, Note: &HistoryEvent{Kind: "note", Detail: fmt.Sprint(i)}})
	}
	require.Len(t, c.reg.History, MaxHistory)
	require.Equal(t, fmt.Sprint(MaxHistory+4), c.lastEvent().Detail)
	ids := slices.IsSortedFunc(c.reg.History, func(a, b HistoryEvent) int { return int(a.ID) - int(b.ID) })
	require.True(t, ids)
}

// Two registries made from one must not write into each other's history.
func TestHistoryIsNotShared(t *testing.T) {
	c := founded(t)
	for range 5 { // some history has room to grow in place
		one, _ := c.reg.Apply(Command{Note: &HistoryEvent{Detail: "one"}})
		two, _ := c.reg.Apply(Command{Note: &HistoryEvent{Detail: "two"}})
		require.Equal(t, "one", one.History[len(one.History)-1].Detail)
		require.Equal(t, "two", two.History[len(two.History)-1].Detail)
		c.reg = two
	}
}

func TestNamesOfDirectories(t *testing.T) {
	c := founded(t)
	require.Equal(t, "A", c.reg.NameOf("A"))
	require.Equal(t, "nobody", c.reg.NameOf("nobody"))
	c.does(registerAs("A", "A2", 1))
	require.Equal(t, "A (a replaced data directory)", c.reg.NameOf("A"))

	// A directory that was moved from node to node and replaced at both has one
	// name at every monitor, whatever the order of their maps.
	c.does(registerAs("B", "B2", 1))
	c.does(registerAs("B", "A", 5))
	c.does(registerAs("B", "B3", 1))
	for range 50 {
		require.Equal(t, "A (a replaced data directory)", c.reg.NameOf("A"))
	}
}
