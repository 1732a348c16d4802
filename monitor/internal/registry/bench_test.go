package registry

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// An apply is on the road of every failover: aim at 2 ms at most.
func BenchmarkApply(b *testing.B) {
	r := openLeading(b, testOptions(b.TempDir()))
	for i := 0; b.Loop(); i++ {
		_, err := r.Apply(b.Context(), note(i))
		require.NoError(b, err)
	}
	require.NoError(b, r.Close())
}
