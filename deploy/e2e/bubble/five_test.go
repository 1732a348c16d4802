package bubble

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/memnet"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// What the promises allow for each kind of death, see [TestPausesArePromised].
const (
	crashedPrimary = 250 * time.Millisecond
	silentPrimary  = time.Second
	crashedStandby = 150 * time.Millisecond
	silentStandby  = 700 * time.Millisecond
)

// fillers is how many big values make a copy that takes seconds over a link of
// fillRate; the journal no longer reaches back to the first.
const (
	fillers  = 32
	fillRate = 256 << 10
)

// starve has the spares filled with more than a link to them carries at once.
func (s *scene) starve() {
	for i := range fillers {
		s.mustPut(fmt.Sprintf("filler-%d", i), big())
	}
	for _, from := range s.names() {
		for _, to := range s.spares {
			s.net.SetLink(from, to, memnet.Link{Rate: fillRate})
		}
	}
}

// nothingHalf requires that what a spare shows is what there was at some moment: of
// the fillers, which were written one after the other, the first ones. A part of a
// snapshot would have them by name.
func (s *scene) nothingHalf() {
	s.t.Helper()
	for _, name := range s.spares {
		copied, err := s.http.replica(name)
		if err != nil {
			continue
		}
		n := 0
		for ; copied.values[fmt.Sprintf("filler-%d", n)] != ""; n++ {
			delete(copied.values, fmt.Sprintf("filler-%d", n))
		}
		for key := range copied.values {
			require.False(s.t, strings.HasPrefix(key, "filler-"), "%s shows %s, and not filler-%d", name, key, n)
		}
	}
}

// watched waits, and looks all the time at what the spares show.
func (s *scene) watched(d time.Duration) {
	s.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		s.nothingHalf()
	}
}

// The primary dies while spares are filled (case 11).
func TestFivePrimaryDiesWhileSparesAreFilled(t *testing.T) {
	tell(t, five(), tale{
		name: "a standby is left", pause: crashedPrimary, epoch: 2,
		hit: func(s *scene) {
			s.starve()
			s.crash(s.standbys[0])
			s.stepsIn(s.spares[0])
			s.watched(time.Second)
			require.NotContains(s.t, s.group().InSync, s.spares[0])
			s.crash(s.primary)
			s.served()
			require.Equal(s.t, s.standbys[1], s.group().Primary)
			s.watched(time.Second)
			s.eventually("it is filled", func() bool { return slices.Contains(s.group().InSync, s.spares[0]) })
		},
	}, tale{
		name: "nobody is left", pause: 8 * time.Second, epoch: 2,
		hit: func(s *scene) {
			s.starve()
			for _, name := range s.standbys {
				s.crash(name)
			}
			s.stepsIn(s.spares...)
			s.watched(500 * time.Millisecond)
			require.Equal(s.t, []string{s.primary}, s.group().InSync)
			s.crash(s.primary)
			s.watched(5 * time.Second)
			s.refused(s.primary)
			s.start(s.primary)
			s.inSync(3)
			s.nothingHalf()
		},
	})
}

// Standbys cannot be heard by the monitor, and follow the primary all the same
// (case 16).
func TestFiveStandbysUnheard(t *testing.T) {
	tell(t, five(), tale{
		name: "one, then both", pause: 50 * time.Millisecond, epoch: 1,
		hit: func(s *scene) {
			for i, name := range s.standbys {
				s.cutFromMonitors(name)
				time.Sleep(2 * time.Second)
				g := s.group()
				require.Len(s.t, g.InSync, 3, "copies stay three")
				require.Equal(s.t, i == 0, g.Failover.Possible)
			}
			require.Contains(s.t, s.group().Failover.Reason, s.standbys[0])
			require.Contains(s.t, s.group().Failover.Reason, s.standbys[1])
			s.eventually("spares are in their place", func() bool {
				g := s.group()
				require.GreaterOrEqual(s.t, len(g.InSync), 3, "there are three copies all the time")
				return g.Failover.Possible && slices.Equal(g.Members, slices.Sorted(slices.Values(append(s.spares, s.primary))))
			})
		},
	})
}

// Every direction between two kinds of nodes is cut alone, or a node's links are
// bad (case 18).
func TestFiveBadLinks(t *testing.T) {
	var tales []tale
	for _, pair := range [][2]string{
		{"primary", "standby"},
		{"standby", "primary"},
		{"standby", "another"},
		{"primary", "spare"},
		{"spare", "primary"},
		{"primary", monitorName},
		{monitorName, "primary"},
		{"standby", monitorName},
		{monitorName, "standby"},
		{"spare", monitorName},
		{monitorName, "spare"},
	} {
		tales = append(tales, tale{name: pair[0] + " to " + pair[1], pause: silentPrimary, hit: func(s *scene) {
			s.net.Cut(s.who(pair[0]), s.who(pair[1]))
			time.Sleep(1500 * time.Millisecond)
			require.True(s.t, s.group().Serving)
		}})
	}
	for _, role := range []string{"primary", "standby", "spare"} {
		for name, l := range map[string]memnet.Link{"late": {Delay: 200 * time.Millisecond}, "lossy": {Delay: time.Millisecond, Loss: 0.3}} {
			tales = append(tales, tale{name: role + " is " + name, pause: requestTimeout, hit: func(s *scene) {
				for _, other := range s.names() {
					if victim := s.who(role); other != victim {
						s.link(victim, other, l)
					}
				}
				time.Sleep(3 * time.Second)
				require.EqualValues(s.t, 1, s.group().Epoch, "no needless failover")
			}})
		}
	}
	tell(t, five(), tales...)
}

// who names who had a role in the beginning, or is that host.
func (s *scene) who(role string) string {
	switch role {
	case "primary":
		return s.primary
	case "standby":
		return s.standbys[0]
	case "another":
		return s.standbys[1]
	case "spare":
		return s.spares[0]
	}
	return role
}

// A machine goes without a word and for good: its connections stay open at the
// others, and are noticed by deadlines (case 20).
func TestFiveHalfOpenConnections(t *testing.T) {
	for _, dead := range []string{"primary", "standby", "spare"} {
		promise := map[string]time.Duration{"primary": silentPrimary, "standby": silentStandby, "spare": 50 * time.Millisecond}[dead]
		tell(t, five(), tale{name: dead, pause: promise, hit: func(s *scene) {
			victim := s.who(dead)
			s.powerOff(victim)
			time.Sleep(5 * time.Second)
			hb, err := s.http.heartbeat(s.group().Primary)
			require.NoError(s.t, err)
			for _, p := range hb.Groups[0].Peers {
				require.Equal(s.t, p.UUID != s.uuid(victim), p.Connected, p.UUID)
			}
			s.eventually("nobody reaches it", func() bool {
				return !slices.ContainsFunc(s.names(), func(name string) bool {
					return slices.ContainsFunc(s.http.peers(name), func(p wire.Peer) bool { return p.Name == victim && p.Sees == wire.SeesUp })
				})
			})
		}})
	}
	tell(t, five(), tale{name: "the source of a snapshot", pause: silentPrimary, epoch: 2, hit: func(s *scene) {
		s.starve()
		s.crash(s.standbys[0])
		s.stepsIn(s.spares[0])
		time.Sleep(time.Second)
		s.powerOff(s.primary)
		s.served()
		s.eventually("it is filled from another", func() bool { return slices.Contains(s.group().InSync, s.spares[0]) })
	}})
}

// uuid returns whom the monitor knows under a name.
func (s *scene) uuid(name string) protocol.UUID {
	for _, n := range s.http.cluster().Nodes {
		if n.Name == name {
			return n.UUID
		}
	}
	return ""
}
