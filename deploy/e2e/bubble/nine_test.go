package bubble

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Nine copies, all in sync: one standby stands still and another has no room. Writes
// go on within the promise, and so they do when a third dies.
func TestNineNodesWithTwoIllStandbys(t *testing.T) {
	ill := func(s *scene) {
		s.freeze(s.standbys[0])
		s.full(s.standbys[1])
		require.Empty(s.t, s.writeBig("big-"), "writes go on")
		s.inSync(7)
		for _, name := range s.standbys[:2] {
			require.NotContains(s.t, s.group().InSync, name)
		}
	}
	tell(t, clusterOptions{nodes: 9},
		tale{name: "one frozen, one full", pause: silentStandby, epoch: 1, hit: ill},
		tale{name: "one full", pause: crashedStandby, epoch: 1, hit: func(s *scene) {
			s.full(s.standbys[0])
			require.Empty(s.t, s.writeBig("big-"))
			s.inSync(8)
		}},
		tale{name: "four die at once", pause: crashedStandby, epoch: 1, hit: func(s *scene) {
			for _, name := range s.standbys[:4] {
				s.crash(name)
			}
			s.inSync(5)
		}},
		tale{name: "the primary dies beside two ill ones", pause: silentStandby, epoch: 2, hit: func(s *scene) {
			ill(s)
			s.crash(s.primary)
			s.served()
		}},
		tale{name: "the primary dies while both are in sync", pause: silentPrimary, hit: func(s *scene) {
			s.freeze(s.standbys[0])
			s.full(s.standbys[1])
			s.crash(s.primary)
			s.served()
			s.inSync(7)
		}},
	)
}
