package courier

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

// An answer that has begun is not cut when the target changes, and keeps nobody
// waiting; it is at the end of Run.
func TestWhatIsLeftOfAnOldTargetEndsWithRun(t *testing.T) {
	var all *scene
	play(t, func(s *scene) {
		all = s
		for epoch, name := range []string{"a", "b", "a", "b"} {
			s.names(name, protocol.Epoch(epoch+1))
			synctest.Wait()
			began := time.Now()
			_, err := s.do(http.MethodGet)
			require.NoError(t, err)
			require.Zero(t, time.Since(began))
		}
		require.Len(t, s.asked("b"), 2)
		time.Sleep(time.Hour)
		require.Zero(t, s.ended)
	})
	require.Equal(t, 4, all.ended)
}
