package protocol

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// generator makes commands that are mostly reasonable, now and then outdated, and
// sometimes nonsense.
type generator struct {
	rng  *rand.Rand
	past []Command
}

func (g *generator) next(reg Registry) Command {
	if len(g.past) > 0 && g.rng.IntN(8) == 0 {
		return g.past[g.rng.IntN(len(g.past))] // a late copy
	}
	c := g.fresh(reg)
	c.At = wall
	g.past = append(g.past, c)
	return c
}

func (g *generator) fresh(reg Registry) Command {
	r := reg.Groups[0]
	v := r.Version
	if g.rng.IntN(10) == 0 {
		v += Version(g.rng.IntN(3)) - 1
	}
	switch g.rng.IntN(20) {
	case 17, 18:
		return Command{Remove: &Remove{Node: g.name(), By: "somebody"}}
	case 19:
		n := reg.Nodes[g.name()]
		return Command{Forget: &Forget{Node: n.Name, UUID: n.UUID, Boot: n.Boot}}
	case 12, 13:
		n := reg.Nodes[g.name()]
		return Command{Leave: &Leave{Node: n.Name, UUID: n.UUID, Boot: n.Boot}}
	case 14, 15, 16:
		u := g.pick(r.Members)
		n, _ := reg.NodeOf(u)
		return override(v, ReplicaBoot{u, n.Boot})
	case 0, 1, 2:
		return g.register(reg)
	case 3, 4:
		u := g.pick(append(slices.Clone(r.InSync), r.Members...))
		n, _ := reg.NodeOf(u)
		return promote(v, ReplicaBoot{u, n.Boot}, g.some(r.InSync)...)
	case 5, 6, 7, 8:
		set := g.some(append(slices.Clone(r.InSync), r.Members...))
		set = slices.DeleteFunc(set, func(u UUID) bool { return u == r.Primary.UUID && g.rng.IntN(12) > 0 })
		by, e := r.Primary, r.Epoch
		switch g.rng.IntN(12) {
		case 0:
			by.Boot = boot(by.Boot.Count + 1)
		case 1:
			by.UUID = g.pick(r.InSync)
		case 2:
			e++
		}
		return change(v, e, by, append(set, by.UUID)...)
	case 9:
		var known []UUID
		for _, name := range sortedNames(reg) {
			known = append(known, reg.Nodes[name].UUID)
		}
		return members(v, g.some(known)...)
	case 10:
		return maintenance(g.name(), g.rng.IntN(2) == 0)
	}
	s := DefaultSettings()
	s.Retries = g.rng.IntN(5)
	return Command{SetConfig: &SetConfig{Settings: s}}
}

func (g *generator) register(reg Registry) Command {
	name := g.name()
	n := reg.Nodes[name]
	u, b := n.UUID, boot(n.Boot.Count+uint64(g.rng.IntN(2)))
	if u == "" || g.rng.IntN(4) == 0 {
		u = UUID(fmt.Sprintf("%s%d", name, g.rng.IntN(4)))
		b = boot(uint64(g.rng.IntN(6)))
	}
	c := registerAs(name, u, b.Count)
	c.Register.Empty = g.rng.IntN(3) > 0
	return c
}

func (g *generator) name() string { return string(rune('a' + g.rng.IntN(4))) }

func (g *generator) pick(from []UUID) UUID {
	if len(from) == 0 || g.rng.IntN(20) == 0 {
		return "nobody"
	}
	return from[g.rng.IntN(len(from))]
}

// some returns a random part of a set, in random order.
func (g *generator) some(from []UUID) []UUID {
	var out []UUID
	for _, i := range g.rng.Perm(len(from)) {
		if g.rng.IntN(3) > 0 && !slices.Contains(out, from[i]) {
			out = append(out, from[i])
		}
	}
	return out
}

func sortedNames(reg Registry) []string {
	var out []string
	for name := range reg.Nodes {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func TestRandomCommands(t *testing.T) {
	accepted, refused := map[string]int{}, map[RefusalCode]int{}
	for seed := range uint64(15) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			g := &generator{rng: rand.New(rand.NewPCG(seed, 0))}
			var reg, twin Registry // the twin gets everything as JSON, as another monitor does
			reg, _ = reg.Apply(Command{At: wall, Found: &Found{Cluster: "c-1", Settings: DefaultSettings()}})
			twin = throughJSON(t, reg)
			var kept []Registry
			var texts []string
			for i := range 200 {
				c := g.next(reg)
				next, r := reg.Apply(c)
				twinNext, twinR := twin.Apply(throughJSON(t, c))
				require.Equal(t, r, twinR)
				if r != nil {
					refused[r.Code]++
					require.Contains(t, RefusalCodes(), r.Code)
					require.True(t, reflect.DeepEqual(reg, next), "a refused command changed the registry")
					continue
				}
				accepted[kindOf(c)]++
				requireStep(t, reg, next, c)
				reg, twin = next, twinNext
				require.Equal(t, toJSON(t, reg.Groups), toJSON(t, twin.Groups), "two monitors differ")
				if i%20 == 0 {
					kept, texts = append(kept, reg), append(texts, toJSON(t, reg))
					require.Equal(t, texts[len(texts)-1], toJSON(t, twin), "two monitors differ")
					twin = throughJSON(t, twin) // restored from a snapshot
				}
			}
			require.Equal(t, toJSON(t, reg), toJSON(t, twin), "two monitors differ")
			for i, old := range kept {
				require.Equal(t, texts[i], toJSON(t, old), "a registry changed after it was published")
			}
		})
	}
	for _, kind := range []string{"register", "promote", "change", "members", "maintenance", "config", "leave", "override"} {
		require.Greater(t, accepted[kind], 30, "the commands are too tame to show anything: %v", accepted)
	}
	for _, code := range []RefusalCode{RefuseStaleVersion, RefuseDuplicateNode, RefuseRegistryBehind, RefuseWouldLoseData, RefuseNotPrimary, RefuseBadRequest, RefuseForbidden} {
		require.Positive(t, refused[code], "never refused with %s: %v", code, refused)
	}
}

func throughJSON[T any](t *testing.T, v T) T {
	t.Helper()
	var back T
	require.NoError(t, json.Unmarshal([]byte(toJSON(t, v)), &back))
	return back
}

func kindOf(c Command) string {
	switch {
	case c.Register != nil:
		return "register"
	case c.Promote != nil:
		return "promote"
	case c.ChangeInSync != nil:
		return "change"
	case c.SetMembers != nil:
		return "members"
	case c.SetMaintained != nil:
		return "maintenance"
	case c.SetConfig != nil:
		return "config"
	case c.Remove != nil:
		return "remove"
	case c.Forget != nil:
		return "forget"
	case c.Leave != nil:
		return "leave"
	case c.Override != nil:
		return "override"
	}
	return "other"
}

// requireStep checks what must hold between a registry and the next.
func requireStep(t *testing.T, old, now Registry, c Command) {
	t.Helper()
	a, b := old.Groups[0], now.Groups[0]
	kind := kindOf(c)
	require.GreaterOrEqual(t, b.Version, a.Version)
	require.GreaterOrEqual(t, b.Epoch, a.Epoch)
	require.GreaterOrEqual(t, now.NextID, old.NextID)
	if kind == "promote" || kind == "change" || kind == "members" || kind == "override" {
		require.Equal(t, a.Version+1, b.Version)
	} else if !reflect.DeepEqual(a, b) {
		require.Greater(t, b.Version, a.Version, "a changed record has a higher version")
	}
	switch kind {
	case "override":
		require.Equal(t, a.Epoch+1, b.Epoch)
		require.Equal(t, b.Epoch, b.OverrideEpoch)
		require.Equal(t, []UUID{b.Primary.UUID}, b.InSync)
		require.False(t, a.IsInSync(b.Primary.UUID))
	case "promote":
		require.Equal(t, a.Epoch+1, b.Epoch)
		require.True(t, a.IsInSync(b.Primary.UUID) || a.Epoch == 0)
		require.False(t, b.IsDown(b.Primary.UUID))
	default:
		require.Equal(t, a.Epoch, b.Epoch)
		require.Equal(t, a.Primary, b.Primary, "an epoch belongs to one boot")
	}
	if kind != "override" {
		require.Equal(t, a.OverrideEpoch, b.OverrideEpoch)
	}
	if kind != "change" && kind != "override" && a.Epoch > 0 {
		require.Equal(t, a.InSync, b.InSync, "only the primary changes the in-sync set")
	}
	requireRecord(t, b)
	for _, u := range slices.Concat(b.Members, b.InSync) {
		n, ok := now.NodeOf(u)
		require.Equal(t, ok && n.Maintenance, b.IsHeldOut(u), "who is in maintenance is held out, nobody else")
	}
	for name, n := range old.Nodes {
		m := now.Nodes[name]
		if m.UUID == n.UUID {
			require.GreaterOrEqual(t, m.Boot.Count, n.Boot.Count)
		}
		require.NotContains(t, n.Replaced, ReplicaBoot{m.UUID, m.Boot}, "a replaced boot came back")
		require.LessOrEqual(t, len(m.Replaced), MaxReplaced)
	}
}

// requireRecord checks what must hold of every record.
func requireRecord(t *testing.T, r GroupRecord) {
	t.Helper()
	require.Equal(t, r.Epoch > 0, r.IsInSync(r.Primary.UUID), "the set holds the primary from birth on")
	require.False(t, repeats(r.InSync) || repeats(r.Members) || repeats(r.Leaving) || repeats(r.HeldOut))
	require.LessOrEqual(t, r.OverrideEpoch, r.Epoch)
	for _, u := range r.HeldOut {
		require.True(t, r.IsMember(u) || r.IsInSync(u))
		require.Equal(t, r.IsInSync(u), r.IsLeaving(u), "who is held out leaves the set")
	}
	for _, u := range r.Leaving {
		require.True(t, r.IsInSync(u), "who is leaving is in the set until it has left")
	}
}

// A command comes from the monitors' log. Whatever it holds, it is applied or
// refused, and the record stays one that can be acted on.
func FuzzApply(f *testing.F) {
	for _, c := range []Command{
		promote(5, of("B", 1), "A"), change(5, 1, of("A", 1), "A", "C"), members(5, "A", "B"),
		registerAs("A", "A2", 1), maintenance("B", true),
		leave("B", 1), override(5, of("C", 1)),
		{},
		{Note: &HistoryEvent{Kind: "note"}},
	} {
		b, err := json.Marshal(c)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var c Command
		if json.Unmarshal(b, &c) != nil {
			return
		}
		reg := born(t, "A", "B").reg
		next, r := reg.Apply(c)
		if r != nil {
			require.Contains(t, RefusalCodes(), r.Code)
			require.Equal(t, reg, next)
			return
		}
		for id := range next.Groups {
			require.GreaterOrEqual(t, next.Groups[id].Version, reg.Groups[id].Version)
			requireRecord(t, next.Groups[id])
		}
	})
}
