package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPausesAtAnyMomentShowNothingOld freezes the primary in the middle of
// whatever it does, for less than its reign and for more.
func TestPausesAtAnyMomentShowNothingOld(t *testing.T) {
	s := tell(t)
	s.write()
	judge := s.ticking()
	for range 10 {
		primary := s.group().Primary
		s.freeze(primary)
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
		s.thaw(primary)
		s.moreAcknowledged(3)
	}
	for range 3 {
		before := s.group()
		s.freeze(before.Primary)
		s.await("another primary serves", func() bool { return s.group().Epoch > before.Epoch && s.group().Serving })
		s.moreAcknowledged(10)
		s.thaw(before.Primary)
		s.awaitInSync("app1", "app2")
		s.moreAcknowledged(10)
	}
	judge()
	s.rest()
	s.settled()
	require.GreaterOrEqual(t, int(s.group().Epoch), 4)
}
