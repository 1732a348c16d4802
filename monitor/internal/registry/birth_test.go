package registry

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// several opens a registry that waits for others to begin with.
func several(t *testing.T, dir string) *Registry {
	t.Helper()
	o := testOptions(dir)
	o.Several = true
	r, err := Open(t.Context(), o)
	require.NoError(t, err)
	return r
}

func self(r *Registry) Member { return Member{Name: "m1", ID: r.ID(), Address: "m1:80"} }

func TestOneOfSeveralIsNotBornByItself(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := several(t, dir)
		time.Sleep(time.Minute)
		require.False(t, r.Born())
		require.Empty(t, r.Members())
		require.False(t, r.Leader())
		require.False(t, r.Informed())
		require.Empty(t, r.State().Cluster)
		require.Empty(t, r.LeaderAddress())

		require.NoError(t, r.Begin([]Member{self(r)}))
		require.True(t, r.Born())
		require.Error(t, r.Begin([]Member{self(r)}), "there is one birth")
		time.Sleep(2 * time.Second)
		require.True(t, r.Leader())
		require.False(t, r.Informed(), "it leads, and follows nobody")
		require.Equal(t, "m1", r.Members()[0].Name)
		require.NoError(t, r.Close())
		require.ErrorIs(t, r.Begin([]Member{self(r)}), ErrClosed)
	})
	synctest.Test(t, func(t *testing.T) {
		r := several(t, dir)
		require.True(t, r.Born(), "it remembers")
		require.NoError(t, r.Close())
	})
}

// A crash between the two writes of a birth leaves a term without a log; any other
// term is one that others know of.
func TestHalfABirthIsForgotten(t *testing.T) {
	for name, test := range map[string]struct {
		term, vote uint64
		born       bool
	}{
		"nothing":           {},
		"half a birth":      {term: 1},
		"it voted":          {term: 2, vote: 2, born: true},
		"it heard of terms": {term: 7, born: true},
		"it voted in one":   {term: 1, vote: 1, born: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			store, err := openStore(t.Context(), dir)
			require.NoError(t, err)
			if test.term > 0 {
				require.NoError(t, store.SetUint64([]byte(keyTerm), test.term))
			}
			if test.vote > 0 {
				require.NoError(t, store.SetUint64([]byte(keyVoteTerm), test.vote))
			}
			require.NoError(t, store.Close())
			synctest.Test(t, func(t *testing.T) {
				r := several(t, dir)
				require.Equal(t, test.born, r.Born())
				require.NoError(t, r.Close())
			})
		})
	}
}

func TestNobodyToHandOverTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openLeading(t, testOptions(t.TempDir()))
		defer func() { require.NoError(t, r.Close()) }()
		require.ErrorContains(t, r.HandOver(t.Context(), ""), "no other voter")
		require.True(t, r.Leader())
	})
}
