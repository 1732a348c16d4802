package replica

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
)

// Under a seal nothing is judged and nothing is read. What is asked meanwhile waits
// for what comes of it: the next primary, of whom it is told, or the end of the
// seal.
func TestNothingIsAnsweredUnderASeal(t *testing.T) {
	for _, promoted := range []bool{true, false} {
		inPair(t, func(t *testing.T, r *rig, a, b *member) {
			a.write("before", "v")
			at, err := a.replica.Seal(t.Context(), 1, b.dir.UUID())
			require.NoError(t, err)
			require.Equal(t, a.seq(), at.Seq)
			written := a.begin(r.put("k", "v"))
			read := make(chan error, 1)
			go func() {
				_, err := a.read(store.Linearizable, "before")
				read <- err
			}()
			time.Sleep(500 * time.Millisecond)
			require.Empty(t, written)
			require.Empty(t, read)
			require.Equal(t, at.Seq, a.seq(), "nothing is appended")
			if promoted {
				r.desk.promote("b")
				require.Equal(t, problem.NotPrimary, (<-written).code())
				require.Error(t, <-read)
				r.eventually("b begins where a ended", func() bool { return b.seq() == at.Seq+1 })
				return
			}
			require.NoError(t, (<-written).err, "the seal ends by itself")
			require.NoError(t, <-read)
		})
	}
}
