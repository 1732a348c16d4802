package protocol_test

import (
	"testing"

	"understudy.example/pkg/mutant"
	"understudy.example/pkg/mutant/mutanttest"
)

// orderMutants lists the rules of switchovers, maintenance, overrides and nodes
// that stop. The ordinary tests of this package must find every one that is taken
// out.
func orderMutants() []mutant.Mutant {
	return []mutant.Mutant{
		// The plan of the monitor.
		mutant.One("only a sealed primary is replaced by a switchover", "rules.go", "planSealed, planPromoting)", "planSealing, planPromoting)"),
		mutant.One("the primary's death ends a switchover", "plan.go", "case p.kind == KindSwitchover && s.cause() != \"\":", "case false:"),
		mutant.One("a plan is bounded", "plan.go", "!s.now.Before(p.until)", "false"),
		mutant.One("an answer belongs to its order", "plan.go", "p.order != a.Order || ", ""),
		mutant.One("an automatic switchover that failed waits longer each time", "handover.go", " && s.now.Before(r.until) {", " && r.pause < 0 {"),
		mutant.One("a node that is stopping comes last", "candidate.go", "case w.report.Stopping:\n\t\treturn 1\n", "case w.report.Stopping:\n\t\treturn 0\n"),
		// The seal.
		mutant.One("a seal ends in time", "seal.go", "now.Sub(r.reign.seal.since) >= r.cfg.SealFor", "false"),
		mutant.One("a newer record ends a seal", "reign.go", "\tr.reopen(\"the group's record has changed\")\n", ""),
		mutant.One("sealed is when everything is committed", "seal.go", "!s.told && r.last.Seq == r.commit", "!s.told"),
		mutant.One("nobody is added under a seal", "insync.go", "r.Sealed() || !r.record.MayAdd", "!r.record.MayAdd"),
		// Leaving.
		mutant.One("whoever is held out is not added", "types.go", "!r.IsLeaving(u) && !r.IsHeldOut(u)", "!r.IsLeaving(u)"),
		mutant.One("whoever is held out leaves the set", "registry_leave.go", "if r.IsInSync(u) && !slices.Contains(leaving, u) {", "if false {"),
		mutant.One("whoever is held out leaves the view", "reign.go", "p.entering = p.entering && r.record.MayAdd(u)", "_, _ = u, p"),
		mutant.One("whoever is leaving is removed", "insync.go", "\tcase r.record.IsLeaving(p.uuid):\n\t\treturn \"it is leaving\"\n", ""),
		mutant.One("who may not be added is not waited for", "registry.go", " && !slices.Contains(c.Unfit, u)", ""),
		mutant.One("a node exits when another copy counts", "seal.go", "|| len(r.record.InSync) == 1", "|| len(r.record.InSync) >= 1"),
		mutant.One("it is a boot that leaves", "registry_leave.go", "n.UUID != c.UUID || n.Boot != c.Boot", "n.UUID != c.UUID"),
		mutant.One("a primary hands over before it leaves", "registry_leave.go", "r.IsInSync(c.UUID) && r.Primary.UUID != c.UUID &&", "r.IsInSync(c.UUID) &&"),
		// Overrides.
		mutant.One("an override leaves one copy that counts", "registry_leave.go", "c.Primary, []UUID{u}, nil, nil", "c.Primary, append(r.InSync, u), nil, nil"),
		mutant.One("an override waits until the old primary is silent", "order.go", "known && ago >= s.m.cfg.OverrideGuard", "true"),
		mutant.One("an override is for when nobody else can take over", "order.go", "case s.candidate != nil:\n\t\treturn refuse(RefuseWouldLoseData", "case false:\n\t\treturn refuse(RefuseWouldLoseData"),
		mutant.One("history is given up only after an override", "follow.go", "r.record.OverrideEpoch > r.last.Epoch && ", ""),
		mutant.One("history that was lost is not cut like a tail", "follow.go", "if part < r.commit && r.overridden() {", "if part < r.commit && r.overridden() {\n\t\tr.commit = part\n\t}\n\tif false {"),
	}
}

// TestOrderMutants expects the ordinary tests of this package to fail with every
// mutant.
func TestOrderMutants(t *testing.T) {
	mutanttest.Run(t, orderMutants(), mutant.Trial{Package: "."}, nil)
}
