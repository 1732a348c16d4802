package protocol_test

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/mutant"
	"understudy.example/pkg/mutant/mutanttest"
)

// mutantStates bounds how many states of each scope a mutant may survive.
const mutantStates = "100000"

var foundIn = regexp.MustCompile(`Messages: +\t(.*): found in (\d+) steps: (.*)`)

// TestMutantsAreExplored expects the exploration to find every mutant, and tells
// the shortest trace to each.
func TestMutantsAreExplored(t *testing.T) {
	trial := mutant.Trial{Package: ".", Tests: "^TestExploration$", Env: []string{"UNDERSTUDY_EXPLORE=" + mutantStates}}
	mutanttest.Run(t, mutants(), trial, func(t *testing.T, r mutant.Result) {
		shortest, scope, finding := 1<<30, "", ""
		for _, f := range foundIn.FindAllStringSubmatch(r.Output, -1) {
			if n, err := strconv.Atoi(f[2]); err == nil && n < shortest {
				shortest, scope, finding = n, f[1], f[3]
			}
		}
		require.NotEmpty(t, finding, "the mutant ended otherwise than by a finding:\n%s", r.Tail())
		t.Logf("%d steps, %s: %s", shortest, scope, finding)
	})
}
