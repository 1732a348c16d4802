package protocol_test

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// mutantStates bounds how many states of each scope a mutant may survive.
const mutantStates = "100000"

var foundIn = regexp.MustCompile(`Messages: +\t(.*): found in (\d+) steps: (.*)`)

// TestMutantsAreExplored expects the exploration to find every mutant, and tells
// the shortest trace to each.
func TestMutantsAreExplored(t *testing.T) {
	if os.Getenv(envMutants) == "" {
		t.Skipf("set %s=1 to run the exploration against every mutant: it takes minutes", envMutants)
	}
	for _, m := range mutants() {
		t.Run(m.rule, func(t *testing.T) {
			out, err := m.run(t, "^TestExploration$", "UNDERSTUDY_EXPLORE="+mutantStates)
			require.Error(t, err, "the mutant survived:\n%s", tail(out))
			shortest, scope, finding := 1<<30, "", ""
			for _, f := range foundIn.FindAllStringSubmatch(out, -1) {
				if n, err := strconv.Atoi(f[2]); err == nil && n < shortest {
					shortest, scope, finding = n, f[1], f[3]
				}
			}
			require.NotEmpty(t, finding, "the mutant ended otherwise than by a finding:\n%s", tail(out))
			t.Logf("%d steps, %s: %s", shortest, scope, finding)
		})
	}
}
