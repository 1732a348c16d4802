package protocol_test

import (
	"testing"

	"understudy.example/pkg/mutant"
	"understudy.example/pkg/mutant/mutanttest"
)

// adoptMutants lists the rules of rebuilding a registry from its nodes.
func adoptMutants() []mutant.Mutant {
	return []mutant.Mutant{
		mutant.One("who may lose waits for -force", "adopt.go", "if len(a.doubt) > 0 && !o.Force {", "if false {"),
		mutant.One("a longer journal is ahead", "adopt.go", "case g.Position.Compare(have.Position) > 0:", "case false:"),
		mutant.One("a later epoch is ahead", "adopt.go", "case g.Position.Epoch <= have.Position.Epoch && g.Epoch > have.Epoch:", "case false:"),
		mutant.One("a primary that serves is named, or nobody", "adopt.go", "case g.Serving:", "case false:"),
		mutant.One("who is known is heard", "adopt.go", "if living[u] {", "if living[u] || true {"),
		mutant.One("another directory of the same name is another", "adopt.go", "delete(there, name) // whoever", "_ = there // whoever"),
		mutant.One("who is registered is heard", "adopt.go", "for name := range a.m.reg.Nodes {", "for name := range map[string]bool{} {"),
		mutant.One("who was heard is heard still", "adopt.go", "missing[w.Name] = fmt.Sprintf(\"%s was last heard", "_ = fmt.Sprintf(\"%s was last heard"),
		mutant.One("who has started anew proves nothing", "adopt.go", "if w.State != StateCorrupt && w.version() == 0 {", "if false {"),
		mutant.One("nor does one that is empty", "adopt.go", "if w.State != StateCorrupt && w.version() == 0 {", "if w.State != StateCorrupt && w.version() == 0 && !w.empty() {"),
		mutant.One("a directory that was heard is missed under its name", "adopt.go", "if !w.There && !w.empty() {", "if false {"),
		mutant.One("each name is heard once", "adopt.go", "twice && w.There {", "twice && w.There && w.Name == n.Name {"),
		mutant.One("a damaged journal may have held more", "adopt.go", "case w.State == StateCorrupt:", "case false:"),
		mutant.One("an epoch is above all that were heard", "adopt.go", "out.Epoch = max(out.Epoch, g.Epoch, g.Position.Epoch)", "_ = g.Epoch"),
		mutant.One("a version is above all that were heard", "adopt.go", "out.Version = max(out.Version, g.Version)", "_ = g.Version"),
		mutant.One("an adoption leaps", "adopt.go", "out.Epoch+1+adoptLeap, out.Version+1+adoptLeap", "out.Epoch+1, out.Version+1"),
		mutant.One("a registry in use is not another cluster's", "adopt.go", "if r := reg.Groups[id]; r.Epoch > 0 {", "if r := reg.Groups[id]; r.Epoch > 99 {"),
		mutant.One("nor by its command", "registry_adopt.go", "case c.Cluster != g.Cluster && r.Epoch > 0:", "case false:"),
		mutant.One("a registry that is well is not adopted", "adopt.go", "g.Epoch > r.Epoch || g.Version > r.Version {", "true || g.Epoch > r.Epoch {"),
		mutant.One("only the leader adopts", "adopt.go", "case !m.leader || m.reg.Cluster == \"\":", "case false:"),
		mutant.One("not before it has learned", "adopt.go", "case m.Learning(now):", "case false:"),
		mutant.One("an adoption is decided on a version", "registry_adopt.go", "case r.Version != a.Over:", "case false:"),
		mutant.One("and on a cluster", "registry_adopt.go", "case c.Over != g.Cluster:", "case false:"),
		mutant.One("it does not go back", "registry_adopt.go", "case a.Epoch <= r.Epoch || a.Version <= r.Version:", "case false:"),
		mutant.One("one copy counts", "registry_adopt.go", "InSync: []UUID{c.Primary.UUID},", "InSync: slices.Clone(a.Members),"),
		mutant.One("what may be lost counts as an override", "registry_adopt.go", "if c.Loss != \"\" {\n\t\t\tr.OverrideEpoch", "if false {\n\t\t\tr.OverrideEpoch"),
		mutant.One("the registry takes over the nodes' cluster", "registry_adopt.go", "g.Cluster, g.Nodes, g.Groups, g.Removed = c.Cluster, nil, nil, nil", "g.Nodes, g.Groups, g.Removed = nil, nil, nil"),
		mutant.One("who joined the new cluster is a stranger", "registry_adopt.go", "= c.Cluster, nil, nil, nil", "= c.Cluster, g.Nodes, nil, nil"),
		mutant.One("a replaced boot is remembered", "registry_adopt.go", "n.Replaced = append(n.Replaced, was)", "_ = was"),
		mutant.One("an empty registry takes empty journals", "registry_adopt.go", "c.Journal > 0 && c.Journal < g.Adopted", "c.Journal > 0"),
		mutant.One("only of its own cluster", "registry_adopt.go", "c.Cluster == g.Cluster && c.Journal", "c.Journal"),
		mutant.One("no map is born beside a lost one", "stranger.go", "return there && s.rec.Epoch == 0", "return false && there"),
		mutant.One("nor once its members are chosen", "stranger.go", "return there && s.rec.Epoch == 0", "return there && len(s.rec.Members) == 0"),
		mutant.One("nor beside an empty member of one", "stranger.go", "|| s.report.epoch() > 0) && now", ") && now"),
		mutant.One("nor beside one of its own cluster", "stranger.go", "if (!s.report.empty() ||", "if s.report.Cluster != m.reg.Cluster && (!s.report.empty() ||"),
		mutant.One("who is gone holds up no birth", "stranger.go", " && now.Sub(s.heard) <= strangerFresh {", " {"),
		mutant.One("strangers are bounded", "stranger.go", "for len(m.strangers) >= MaxStrangers {", "for len(m.strangers) >= 99*MaxStrangers {"),
		mutant.One("the newest boot of a stranger counts", "stranger.go", "if known && n.Boot.Count < old.report.Boot.Count {", "if known && n.Boot.Count < old.report.Boot.Count && false {"),
		mutant.One("who was adopted is not taken for silent", "stranger.go", "w.report, w.heard = s.report, s.heard", "_ = w"),
	}
}

// TestAdoptMutants expects the tests of adoptions to fail with every mutant.
func TestAdoptMutants(t *testing.T) {
	mutanttest.Run(t, adoptMutants(), mutant.Trial{Package: ".", Tests: "TestAn?[^M]*Adopt|Lost|Stranger|OldCopy|Missed|RegistryChecks|ABirth"}, nil)
}
