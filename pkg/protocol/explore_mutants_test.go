package protocol_test

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/mutant"
)

// mutantStates bounds how many states of each scope a mutant may survive.
const mutantStates = "100000"

var foundIn = regexp.MustCompile(`Messages: +\t(.*): found in (\d+) steps: (.*)`)

// TestMutantsAreExplored expects the exploration to find every mutant, and tells
// the shortest trace to each.
func TestMutantsAreExplored(t *testing.T) {
	if os.Getenv(mutant.Env) == "" {
		t.Skipf("set %s=1 to run the exploration against every mutant: it takes minutes", mutant.Env)
	}
	for _, m := range mutants() {
		t.Run(m.Rule, func(t *testing.T) {
			out := try(t, m, "^TestExploration$", "UNDERSTUDY_EXPLORE="+mutantStates)
			shortest, scope, finding := 1<<30, "", ""
			for _, f := range foundIn.FindAllStringSubmatch(out.Output, -1) {
				if n, err := strconv.Atoi(f[2]); err == nil && n < shortest {
					shortest, scope, finding = n, f[1], f[3]
				}
			}
			require.NotEmpty(t, finding, "the mutant ended otherwise than by a finding:\n%s", out.Tail())
			t.Logf("%d steps, %s: %s", shortest, scope, finding)
		})
	}
}
