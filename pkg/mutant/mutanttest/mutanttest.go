// Package mutanttest runs the mutants of a package as a test of its tests.
package mutanttest

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/mutant"
)

// Run expects the mutants to fit the source, so that the list does not go stale.
// Where [mutant.Env] is set, it expects the tests of the trial to fail with each of
// them, in one run; found, unless it is nil, judges how they have failed.
func Run(t *testing.T, mutants []mutant.Mutant, trial mutant.Trial, found func(*testing.T, mutant.Result)) {
	t.Helper()
	for _, m := range mutants {
		require.NoError(t, m.Check())
	}
	t.Run("are caught", func(t *testing.T) {
		if os.Getenv(mutant.Env) == "" {
			t.Skipf("set %s=1 to run the tests against every mutant: it takes minutes", mutant.Env)
		}
		for _, m := range mutants {
			t.Run(m.Rule, func(t *testing.T) {
				r, err := m.Try(t.Context(), t.TempDir(), trial)
				require.NoError(t, err)
				require.NotEmpty(t, r.Caught, "the mutant survived:\n%s", r.Tail())
				if found != nil {
					found(t, r)
					return
				}
				t.Logf("caught by %s, in %.1f s", strings.Join(r.Caught, ", "), r.Took.Seconds())
			})
		}
	})
}
