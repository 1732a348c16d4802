package turn

import (
	"testing"

	"understudy.example/pkg/mutant"
	"understudy.example/pkg/mutant/mutanttest"
)

// mutants lists what makes the order fair. The tests of this package must find
// every rule that is taken out.
func mutants() []mutant.Mutant {
	return []mutant.Mutant{
		mutant.One("who answers pays", "turn.go", "t.places[chosen].credit -= total\n", ""),
		mutant.One("who has the most is next", "turn.go", "p.credit > t.places[chosen].credit", "p.credit < t.places[chosen].credit"),
		mutant.One("about as quick is equal", "turn.go", "equal := equalFactor*best + equalSlack", "equal := best"),
		mutant.One("a millisecond says nothing", "turn.go", "equal := equalFactor*best + equalSlack", "equal := equalFactor*best"),
		mutant.One("a slow one has few reads", "turn.go", "if p.latency <= equal {", "if true {"),
		mutant.One("and never none", "turn.go", "return max(floor, equal/p.latency)", "return equal/p.latency"),
		mutant.One("one late answer is no slow replica", "turn.go", "(min(x, max(clip*p.latency, clipLeast)) - p.latency)", "(x - p.latency)"),
		mutant.One("one that failed rests", "turn.go", "if p.rest > 0 {\n\t\t\tcontinue\n\t\t}\n", ""),
		mutant.One("then it is tried", "turn.go", "if i := t.rested(now); i >= 0 {", "if i := t.rested(now); false {"),
		mutant.One("after its rest", "turn.go", "&& !now.Before(p.until) {", "{"),
		mutant.One("by one read", "turn.go", "&& !p.trying && ", "&& "),
		mutant.One("a trial that told nothing is made again", "turn.go", "p.trying = false\n", ""),
		mutant.One("it rests longer each time", "turn.go", "max(2*p.rest, restFirst)", "restFirst"),
		mutant.One("and not for ever", "turn.go", "min(max(2*p.rest, restFirst), restMost)", "max(2*p.rest, restFirst)"),
		mutant.One("those that failed together make one rest", "turn.go", "if p == nil || p.rest > 0 && !k.trial {\n\t\treturn // it rests because", "if p == nil {\n\t\treturn // it rests because"),
		mutant.One("only the trial ends the rest", "turn.go", "case p.rest > 0 && !k.trial:", "case false:"),
		mutant.One("what rests is not the best", "turn.go", "p.rest == 0 && p.latency > 0", "p.latency > 0"),
		mutant.One("another set begins anew", "turn.go", "\tt.generation++\n", ""),
		mutant.One("patience follows the slow answers", "turn.go", "t.usual += (x - t.usual) * rise", "t.usual += (x - t.usual) * fall"),
		mutant.One("and not the quick ones", "turn.go", "t.usual += (x - t.usual) * fall", "t.usual += (x - t.usual) * rise"),
		mutant.One("a stall is forgotten", "turn.go", "\tt.fade(now)\n", ""),
		mutant.One("a stall tells no more than a late answer", "turn.go", "x = min(x, usualMost); x > t.usual", "x > t.usual"),
		mutant.One("patience has a least", "turn.go", "min(max(time.Duration(patienceFactor*t.usual), patienceLeast), patienceMost)", "min(time.Duration(patienceFactor*t.usual), patienceMost)"),
		mutant.One("patience ends", "turn.go", "min(max(time.Duration(patienceFactor*t.usual), patienceLeast), patienceMost)", "max(time.Duration(patienceFactor*t.usual), patienceLeast)"),
	}
}

// TestMutants expects the ordinary tests of this package to fail with every mutant.
func TestMutants(t *testing.T) {
	mutanttest.Run(t, mutants(), mutant.Trial{Package: "."}, nil)
}
