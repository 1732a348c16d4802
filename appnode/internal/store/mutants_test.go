package store

import (
	"testing"

	"understudy.example/pkg/mutant"
	"understudy.example/pkg/mutant/mutanttest"
)

// mutants lists what makes a write be applied once however often it is sent. The
// tests of this package must find every rule that is taken out.
func mutants() []mutant.Mutant {
	return []mutant.Mutant{
		// Answers.
		mutant.One("a request that was answered is answered again, and not judged", "verdict.go",
			"if found {\n\t\treturn req.repeat(first)\n\t}", "if found && first.Hash != req.hash {\n\t\treturn req.repeat(first)\n\t}"),
		mutant.One("another request under the same id is refused", "verdict.go",
			"if first.Hash != r.hash {", "if false {"),
		mutant.One("a refusal of a request with an id is remembered", "verdict.go",
			"Recorded: true, Status: req.done}", "Recorded: err == nil, Status: req.done}"),
		mutant.One("a request that has no effect is remembered", "verdict.go",
			"Recorded: true, Status: req.done}", "Recorded: err != nil || len(effects) > 0, Status: req.done}"),
		mutant.One("a record brings its answer", "apply.go",
			"\t\tm.ids.apply(a, pos, m.time)\n", "\t\t_ = a\n"),
		mutant.One("no record answers what was answered before", "apply.go",
			"err = m.ids.check(a, pos)", "_ = a"),
		// Sessions.
		mutant.One("a serial below the lowest is not taken", "idtable.go",
			"case id.Serial < s.lowest:", "case false:"),
		mutant.One("the lowest serial that is unanswered is kept", "idtable.go",
			"s.drop(s.lowest)", "s.drop(s.lowest + 1)"),
		mutant.One("an unknown session that may be a forgotten one is not taken", "idtable.go",
			"case s == nil && (id.Birth <= t.horizon || id.Birth > last):", "case s == nil && id.Birth > last:"),
		mutant.One("a session that is forgotten raises the horizon", "idtable.go",
			"t.horizon = max(t.horizon, s.birth)", "_ = s.birth"),
		mutant.One("a session that is born in the future is not taken", "idtable.go",
			"case s == nil && (id.Birth <= t.horizon || id.Birth > last):", "case s == nil && id.Birth <= t.horizon:"),
		mutant.One("a session in use is not forgotten", "idtable.go",
			"s.used = now\n", "s.used = max(s.used, 0)\n"),
		mutant.One("a session that is full takes nothing new", "idtable.go",
			"if s.count >= t.limits.answers && s.countFrom(id.Lowest) >= t.limits.answers {", "if false {"),
		mutant.One("a table that is full of sessions takes no new one", "idtable.go",
			"case t.sessionCount() >= t.limits.sessions && !t.anyIdle(now):", "case false:"),
		// Callers' own keys.
		mutant.One("a key is kept for its time", "keys.go",
			"if k == nil || !expired(k.time, now) {", "if k == nil || !expired(k.time, now+int64(KeepFor)/2) {"),
		mutant.One("a table that is full of keys takes no new one", "idtable.go",
			"if t.keys.len() >= t.limits.keys && !expired(t.keys.oldest().time, now) {", "if false {"),
		// Copies.
		mutant.One("a snapshot has the sessions", "idencode.go",
			"m.ids.sessions.Load(name, s)", "_ = name"),
		mutant.One("a snapshot has the keys", "idencode.go",
			"\tt.add(k)\n", ""),
		mutant.One("what others read is not changed in place", "session.go",
			"if s.owner == o {", "if true {"),
	}
}

// TestMutants expects the ordinary tests of this package to fail with every mutant.
func TestMutants(t *testing.T) {
	mutanttest.Run(t, mutants(), mutant.Trial{Package: "."}, nil)
}
