package courier

import (
	"testing"

	"understudy.example/pkg/mutant"
	"understudy.example/pkg/mutant/mutanttest"
)

// mutants lists what keeps a caller from an answer that is not true. The tests of
// this package must find every rule that is taken out.
func mutants() []mutant.Mutant {
	return []mutant.Mutant{
		mutant.One("a write whose answer is lost may have been applied", "carry.go",
			"if !errors.Is(err, link.ErrNotSent) {", "if false {"),
		mutant.One("a write that was not sent was not applied", "carry.go",
			"if !errors.Is(err, link.ErrNotSent) {", "if true {"),
		mutant.One("a node that does not know leaves the outcome unknown", "carry.go",
			"x.uncertain = true\n\t\treturn again", "return again"),
		mutant.One("a refusal that the group does not remember ends no write that may have been applied", "carry.go",
			"case x.uncertain && (code == problem.Overloaded", "case false && (code == problem.Overloaded"),
		mutant.One("a write keeps its id when it is sent again", "carry.go",
			"if x.ticket != nil {\n\t\t\tx.stamp()", "if x.ticket != nil {\n\t\t\tif attempt > 0 {\n\t\t\t\tx.ticket = x.ids.Next()\n\t\t\t}\n\t\t\tx.stamp()"),
		mutant.One("a write that may have been applied gets no new id", "carry.go",
			"; x.uncertain && !forGood {", "; false && !forGood {"),
		mutant.One("a write whose session is forgotten gets a new id", "carry.go",
			"x.ticket, x.uncertain = x.ticket.Renew(), false", "x.uncertain = false"),
		mutant.One("a caller's own id is kept", "carry.go",
			"if x.key = id.AsKey(); x.key == \"\" {", "if x.key = id.AsKey(); true {"),
		mutant.One("the id of a write of unknown outcome stays unanswered", "carry.go",
			"\t\tx.ticket.Abandon()\n\t\treturn\n", ""),
		mutant.One("who may have been applied is told so", "carry.go",
			"if x.uncertain && x.write() {", "if false {"),
		mutant.One("a node that does not lead is not the end", "carry.go",
			"case code == problem.NotPrimary || code == problem.Fenced || code == problem.NoPrimary:", "case false:"),
		mutant.One("a request is held for so long", "carry.go",
			"ctx, cancel := context.WithTimeout(ctx, c.Hold())", "ctx, cancel := context.WithTimeout(ctx, 2*c.Hold())"),
		mutant.One("an answer that has begun is not cut", "pilot.go",
			"p.retiring.Go(func() { node.Retire(ctx) })", "ctx, p.cancel = context.WithCancel(ctx)\n\tp.cancel()\n\tp.retiring.Go(func() { node.Retire(ctx) })"),
		mutant.One("and keeps nobody waiting", "pilot.go",
			"p.retiring.Go(func() { node.Retire(ctx) })", "node.Retire(ctx)"),
		mutant.One("what is under way to an old primary is sent again", "pilot.go",
			"p.retiring.Go(func() { node.Retire(ctx) })", "_ = node"),
	}
}

// TestMutants expects the ordinary tests of this package to fail with every mutant.
func TestMutants(t *testing.T) {
	mutanttest.Run(t, mutants(), mutant.Trial{Package: "."}, nil)
}
