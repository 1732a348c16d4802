package bubble

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/memnet"
	"understudy.example/pkg/protocol"
)

// Nodes are in maintenance, or are removed, while the primary dies (case 33).
func TestFiveMaintenanceAndRemoval(t *testing.T) {
	tell(t, five(), tale{
		name: "a standby in maintenance", pause: crashedPrimary, epoch: 2,
		hit: func(s *scene) {
			s.maintain(s.standbys[0], true)
			s.inSync(2)
			s.crash(s.primary)
			s.served()
			require.Equal(s.t, s.standbys[1], s.group().Primary)
			s.stepsIn(s.spares[0])
			s.inSync(2)
			require.Contains(s.t, s.group().Members, s.standbys[0], "it is expected back")
		},
	}, tale{
		name: "all standbys in maintenance", pause: 5 * time.Second, epoch: 2,
		hit: func(s *scene) {
			for _, name := range s.standbys {
				s.maintain(name, true)
			}
			s.inSync(1)
			s.crash(s.primary)
			time.Sleep(3 * time.Second)
			s.refused(s.primary)
			s.start(s.primary)
			s.inSync(1)
		},
	}, tale{
		name: "a spare in maintenance", pause: crashedStandby, epoch: 1,
		hit: func(s *scene) {
			s.maintain(s.spares[0], true)
			s.crash(s.standbys[0])
			s.stepsIn(s.spares[1])
			require.NotContains(s.t, s.group().Members, s.spares[0])
			s.inSync(3)
		},
	})
	for _, leaver := range []string{"standby", "another", "spare", "primary"} {
		for _, after := range []time.Duration{0, 61 * time.Millisecond} {
			tell(t, five(), tale{
				name: fmt.Sprintf("%s is removed %s after the death", leaver, after), pause: crashedPrimary, epoch: 2,
				hit: func(s *scene) { s.removeAfterDeath(s.who(leaver), after) },
			})
		}
	}
}

// removeAfterDeath has the primary die and an operator remove a node for good, which
// may be refused. One that was removed joins anew, with an empty disk.
func (s *scene) removeAfterDeath(leaver string, after time.Duration) {
	s.t.Helper()
	s.crash(s.primary)
	time.Sleep(after)
	removed := s.remove(leaver).status == http.StatusOK
	s.served()
	s.inSync(3)
	if removed {
		s.eventually("it is out", func() bool { return !slices.Contains(s.group().Members, leaver) })
		if s.nodes[leaver].running() {
			s.crash(leaver)
		}
		s.eventually("it is forgotten", func() bool { return s.uuid(leaver) == "" })
		s.wipe(leaver)
	}
}

// Standbys are slow, starved, or come and go (case 34).
func TestFiveSlowStandbys(t *testing.T) {
	tell(t, five(), tale{
		name: "one is slow", pause: silentStandby, epoch: 1,
		hit: func(s *scene) {
			s.from(s.standbys[0], memnet.Link{Delay: 100 * time.Millisecond})
			s.inSync(2)
			began := time.Now()
			s.mustPut("quick", "v")
			require.Less(s.t, time.Since(began), 10*time.Millisecond)
		},
	}, tale{
		name: "both are slow", pause: silentStandby, epoch: 1,
		hit: func(s *scene) {
			for _, name := range s.standbys {
				s.from(name, memnet.Link{Delay: 100 * time.Millisecond})
			}
			s.inSync(1)
			s.from(s.standbys[0], memnet.Link{})
			s.inSync(2)
		},
	}, tale{
		name: "one is starved", pause: silentStandby, epoch: 1,
		hit: func(s *scene) {
			for _, name := range s.names() {
				if name != s.standbys[0] {
					s.net.SetLink(name, s.standbys[0], memnet.Link{Rate: 1 << 10})
				}
			}
			s.inSync(2)
		},
	}, tale{
		name: "one is flapping", pause: silentStandby, epoch: 1,
		hit: func(s *scene) {
			for _, want := range []time.Duration{1, 2, 4, 8} {
				s.inSync(3)
				s.freeze(s.standbys[0])
				s.inSync(2)
				s.unfreeze(s.standbys[0])
				began := time.Now()
				s.inSync(3)
				require.InDelta(s.t, (want * time.Second).Seconds(), time.Since(began).Seconds(), 0.7)
				require.Equal(s.t, protocol.StateStandby, s.stateOf(s.standbys[1]))
			}
		},
	})
}

// from makes everything that a node says to the others take its time.
func (s *scene) from(name string, l memnet.Link) {
	for _, other := range s.names() {
		if other != name {
			s.net.SetLink(name, other, l)
		}
	}
}

// stateOf returns what a node says of itself.
func (s *scene) stateOf(name string) protocol.State {
	s.t.Helper()
	hb, err := s.http.heartbeat(name)
	require.NoError(s.t, err)
	return hb.State
}
