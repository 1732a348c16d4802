package protocol_test

import (
	"testing"

	"understudy.example/pkg/mutant"
	"understudy.example/pkg/mutant/mutanttest"
)

// spareMutants lists the rules about members that change while the cluster runs.
// The stories about them must find every one that is taken out.
func spareMutants() []mutant.Mutant {
	return []mutant.Mutant{
		mutant.One("a missing member keeps its place for a while", "spares.go",
			"s.now.Sub(later(w.heard, s.m.awake)) >= after", "true"),
		mutant.One("replace-after 0 is never", "spares.go", "return after > 0 && w.down", "return w.down"),
		mutant.One("one in maintenance is expected back", "spares.go", "w.down && !w.entry.Maintenance && s.now", "w.down && s.now"),
		mutant.One("a spare is well", "spares.go", "s.rec.IsMember(w.entry.UUID) || s.ailment(w) != \"\"", "s.rec.IsMember(w.entry.UUID)"),
		mutant.One("who is never promoted comes last", "spares.go",
			"return cmp.Compare(min(b.entry.Priority, 1), min(a.entry.Priority, 1))", "return 0"),
		mutant.One("members change only while the primary serves", "spares.go",
			"s.primary.suspicion != nil || !s.primaryServes()", "s.primary.suspicion != nil"),
		mutant.One("a copy that counts stays until the spare's does", "spares.go",
			"p.wait = s.rec.IsInSync(w.entry.UUID) && !s.enoughWithout(w)\n", ""),
		mutant.One("so it does where its node is removed", "spares.go",
			"&& (p.spare != nil || s.hasSurplus())", "&& false"),
		mutant.One("who is missing makes room for the spare of a removed one", "spares.go", "slices.ContainsFunc(s.rec.Members, s.isDeadWeight)", "false"),
		mutant.One("one spare for one", "spares.go", "len(spares) > 0 && !s.hasSurplus()", "len(spares) > 0"),
		mutant.One("a surplus ends once enough are in sync", "spares.go", "|| !s.hasSurplus() || !s.enoughWithout(w) {", "|| !s.hasSurplus() {"),
		mutant.One("a surplus ends", "spares.go", "[]func(*watch) *parting{s.removed, s.missing, s.surplus}", "[]func(*watch) *parting{s.removed, s.missing}"),
		mutant.One("a primary is no surplus", "spares.go", "if w == s.primary || !s.hasSurplus()", "if !s.hasSurplus()"),
		mutant.One("the lowest priority leaves first", "spares.go", "cmp.Compare(ap, bp), ", "0*cmp.Compare(ap, bp), "),
		mutant.One("a place is kept where nobody can take it", "spares.go", "if p.spare == nil && !s.hasSurplus() {", "if false {"),
		mutant.One("another machine is asked for once", "spares.go", "w.spareAsked = true", "w.spareAsked = false"),
		mutant.One("nobody is asked while a spare is free", "spares.go", " || len(s.spares()) > 0 {", " {"),
		mutant.One("a removed node is no spare", "members.go", " && !w.entry.Removed", ""),
		mutant.One("a primary is not removed", "registry_remove.go", "case r.Epoch > 0 && r.Primary.UUID == n.UUID:", "case false:"),
		mutant.One("a member stays", "registry_remove.go", "case r.IsMember(n.UUID) && !g.staysWithout(r, n.UUID):", "case false:"),
		mutant.One("and is not to be removed itself", "registry_remove.go", "return other != u && ok && !n.Removed", "return other != u && ok && (true || n.Removed)"),
		mutant.One("who is in a group is not forgotten", "registry_remove.go", "case g.isUsed(n.UUID):", "case false:"),
		mutant.One("only who is removed is forgotten", "registry_remove.go", "case !n.Removed:", "case false:"),
		mutant.One("who is there is not forgotten", "registry_remove.go", "!w.entry.Removed || !w.down ||", "!w.entry.Removed ||"),
		mutant.One("a removed directory does not come back", "registry_remove.go", "if !slices.Contains(g.Removed, u) {", "if len(g.Removed) < MaxRemoved {"),
		mutant.One("a new directory comes back", "registry.go", "old.Removed && old.UUID == n.UUID", "old.Removed"),
		mutant.One("what is in sync is heard without a removed node", "registry_remove.go", "return u != n.UUID && w != nil && s.ailment(w) == \"\"", "return u != n.UUID && w != nil"),
		mutant.One("a spare that was a primary says so no more", "replica.go", "case r.deposed && r.belongs():", "case r.deposed:"),
	}
}

// TestSpareMutants expects the stories to fail with every mutant.
func TestSpareMutants(t *testing.T) {
	mutanttest.Run(t, spareMutants(), mutant.Trial{Package: ".", Tests: "Spare|Missing|Surplus|Remove|Member"}, nil)
}
