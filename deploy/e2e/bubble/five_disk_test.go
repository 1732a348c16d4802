package bubble

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
)

// full leaves a node no room for another segment of its journal.
func (s *scene) full(name string) { s.nodes[name].disk.FailAlways("journal prepare", syscall.ENOSPC) }

// writeBig writes more than the segments that a node has left.
func (s *scene) writeBig(prefix string) (code problem.Code) {
	for i := 0; i < 10 && code == ""; i++ {
		code = s.put(s.via, fmt.Sprint(prefix, i), big())
	}
	return code
}

// Disks are full, one after the other (case 21).
func TestFiveFullDisks(t *testing.T) {
	tell(t, five(), tale{
		name: "standby", pause: crashedStandby, epoch: 1,
		hit: func(s *scene) {
			s.full(s.standbys[0])
			require.Empty(s.t, s.writeBig("big-"))
			s.inSync(2)
			g := s.group()
			require.NotContains(s.t, g.InSync, s.standbys[0], "it is not promotable")
			require.Equal(s.t, s.standbys[1], g.Failover.Candidate)
			require.Empty(s.t, s.writeBig("more-"), "writes go on")
		},
	}, tale{
		name: "primary", pause: requestTimeout, refuses: true,
		hit: func(s *scene) {
			s.full(s.standbys[0])
			require.Empty(s.t, s.writeBig("big-"))
			s.inSync(2)
			s.full(s.primary)
			require.Equal(s.t, problem.DiskFull, s.writeBig("more-"))
			require.Equal(s.t, http.StatusOK, s.http.get(s.via, "load-0-0").status, "reads go on")
			time.Sleep(3 * time.Second)
			require.EqualValues(s.t, 1, s.group().Epoch, "nobody fails over by himself")
			s.mustOrder(http.MethodPost, "/v1/switchover", "")
			require.Equal(s.t, s.standbys[1], s.group().Primary, "the one with room")
			require.Empty(s.t, s.writeBig("room-"))
		},
	}, tale{
		name: "everybody", pause: requestTimeout, epoch: 1, refuses: true,
		hit: func(s *scene) {
			for _, name := range s.names() {
				s.full(name)
			}
			require.NotEmpty(s.t, s.writeBig("big-"))
			time.Sleep(5 * time.Second)
			require.EqualValues(s.t, 1, s.group().Epoch, "nobody takes turns")
			require.Equal(s.t, http.StatusOK, s.http.get(s.via, "load-0-0").status, "reads go on")
		},
	})
}

// Disks do not answer (case 23).
func TestFiveStalledDisks(t *testing.T) {
	stall := func(names func(*scene) []string, then func(*scene)) func(*scene) {
		return func(s *scene) {
			var releases []func()
			for _, name := range names(s) {
				releases = append(releases, s.nodes[name].disk.Stall("journal sync"))
			}
			then(s)
			for _, release := range releases {
				release()
			}
		}
	}
	tell(t, five(), tale{
		name: "standby", pause: silentStandby, epoch: 1,
		hit: stall(func(s *scene) []string { return s.standbys[:1] }, func(s *scene) { s.inSync(2) }),
	}, tale{
		name: "primary and a standby", pause: 3 * time.Second, epoch: 2,
		hit: stall(func(s *scene) []string { return []string{s.primary, s.standbys[0]} }, func(s *scene) {
			s.served()
			require.Equal(s.t, s.standbys[1], s.group().Primary, "the one whose disk answers")
		}),
	}, tale{
		name: "all copies", pause: 8 * time.Second, epoch: 1,
		hit: stall(func(s *scene) []string { return append(s.standbys, s.primary) }, func(s *scene) { time.Sleep(5 * time.Second) }),
	})
}
