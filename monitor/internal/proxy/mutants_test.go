package proxy

import (
	"testing"

	"understudy.example/pkg/mutant"
	"understudy.example/pkg/mutant/mutanttest"
)

// mutants lists what keeps callers from noticing that their reads are spread. The
// tests about it must find every rule that is taken out.
func mutants() []mutant.Mutant {
	return []mutant.Mutant{
		mutant.One("a standby that cannot tell is not the last word", "spread.go", "res.Status < http.StatusInternalServerError && ", ""),
		mutant.One("nor one that points to the primary", "spread.go", " && res.Status != http.StatusTemporaryRedirect", ""),
		mutant.One("what a standby does not answer the primary does", "spread.go", "if alone {\n\t\tres, err = q.askPrimary(ctx)\n", "if alone {\n"),
		mutant.One("where all are late nobody is to blame", "spread.go", "if other.took >= patience {", "if false {"),
		mutant.One("a late answer is not waited for", "spread.go", "\t\tcancel() // the standby need not answer any more\n", ""),
		mutant.One("who fails rests", "spread.go", "\t\tt.Failed(k, time.Now())\n", "\t\tt.Dropped(k)\n"),
		mutant.One("a caller who goes away says nothing", "spread.go", "if caller.Err() != nil {\n\t\to = dropped", "if caller.Err() != nil {\n\t\to = failed"),
		mutant.One("the primary does not rest", "spread.go", "o = dropped // the courier", "o = failed // the courier"),
		mutant.One("the hold is for the whole read", "spread.go", "q.within-time.Since(q.began)", "q.within"),
		mutant.One("and it is that of the beginning", "spread.go", "q.within-time.Since(q.began)", "q.hold()-time.Since(q.began)"),
		mutant.One("nothing is left of the other answer", "spread.go", "discard((<-second).res)", "<-second"),
		mutant.One("nor of one that does not count", "spread.go", "\tdiscard(res)\n\to := failed", "\to := failed"),
		mutant.One("who left the set is given up", "spread.go", "\t\t\ts.retiring.Go(func() { b.node.Retire(ctx) })\n", ""),
		mutant.One("but for an answer that has begun", "spread.go", "b.node.Retire(ctx)", "ctx, cancel := context.WithCancel(ctx); cancel(); b.node.Retire(ctx)"),
		mutant.One("and that keeps nobody waiting", "spread.go", "s.retiring.Go(func() { b.node.Retire(ctx) })", "b.node.Retire(ctx)"),
		mutant.One("who stays in the set is not", "spread.go", "if !slices.ContainsFunc(targets, b.is) {", "if true {"),
		mutant.One("other news disturbs nobody", "spread.go", "if slices.EqualFunc(before, targets, standby.is) &&", "if false &&"),
		mutant.One("each kind has its turns", "spread.go", "k, _ = s.turns[kind].Next(", "k, _ = s.turns[0].Next("),
		mutant.One("only reads are spread", "spread.go", "if r.Method != http.MethodGet && r.Method != http.MethodHead {", "if false {"),
		mutant.One("reads are spread when the settings say so", "proxy.go", "if read && p.spread.on.Load() &&", "if read &&"),
		mutant.One("without a primary nobody is asked", "proxy.go", " && p.courier.Open() {", " {"),
	}
}

// TestMutants expects the ordinary tests of this package to fail with every mutant.
func TestMutants(t *testing.T) {
	mutanttest.Run(t, mutants(), mutant.Trial{Package: "."}, nil)
}
