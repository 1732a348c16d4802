package e2e

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/wire"
)

// orders asks the monitor for what it would tell a node now, in the node's name.
func (s *story) orders(node string) string {
	s.t.Helper()
	status, beat := s.call(time.Second, http.MethodGet, s.Node(node)+wire.PathProbe, "")
	require.Equal(s.t, http.StatusOK, status, beat)
	status, answer := s.call(time.Second, http.MethodPost, s.Monitor()+wire.PathHeartbeat, beat)
	require.Equal(s.t, http.StatusOK, status, answer)
	var a wire.Assignment
	require.NoError(s.t, json.Unmarshal([]byte(answer), &a))
	require.Len(s.t, a.Groups, 1)
	return answer
}

// give orders to a node, as the monitor would.
func (s *story) give(node, orders string) {
	s.t.Helper()
	status, answer := s.call(time.Second, http.MethodPost, s.Node(node)+wire.PathAssign, orders)
	require.Equal(s.t, http.StatusOK, status, answer)
}

func TestAnOrderThatIsLostArrivesWithTheNextHeartbeat(t *testing.T) {
	s := tell(t, links)
	s.write()
	s.monitorLink("app2", noCut, bothWays)
	s.kill("app1")
	s.await("app2 serves", func() bool { return s.status("app2").Serving })
	s.monitorLink("app2", noCut, noCut)
	s.moreAcknowledged(20)
	s.rest()
	s.start("app1")
	s.settled()
	require.EqualValues(t, 2, s.group().Epoch)
}

func TestOrdersThatAreRepeatedOrLateChangeNothing(t *testing.T) {
	s := tell(t)
	s.write()
	old := s.orders("app1")
	s.kill("app1")
	s.awaitPrimary("app2")
	middle := s.orders("app2")
	s.start("app1")
	s.awaitInSync("app1", "app2")
	before := s.group()
	for range 3 {
		for _, orders := range []string{old, middle, s.orders("app2"), s.orders("app2")} {
			s.give("app1", orders)
			s.give("app2", orders)
		}
	}
	s.moreAcknowledged(50)
	after := s.group()
	require.Equal(t, before.Epoch, after.Epoch)
	require.Equal(t, before.Version, after.Version)
	for _, n := range s.Nodes() {
		require.Equal(t, before.Epoch, s.status(n).Epoch)
		require.Equal(t, before.Version, s.status(n).Version)
	}
	require.True(t, s.status("app2").Serving)
	s.rest()
	s.settled()
}

// A standby that comes back empty may hear of the group before it is registered,
// and accept its epoch: it is as empty as before.
func TestAnEmptyStandbyThatHeardOfTheGroupIsTakenIn(t *testing.T) {
	s := tell(t, links)
	s.kill("app2")
	s.wipe("app2")
	orders := s.orders("app1")
	s.cutMonitor("app2")
	s.start("app2")
	s.await("app2 answers", func() bool {
		_, err := s.Heartbeat(t.Context(), "app2")
		return err == nil
	})
	s.give("app2", orders)
	s.await("app2 accepts the epoch", func() bool { return s.status("app2").Epoch == 1 })
	s.healMonitor("app2")
	s.settled()
}

func TestAMonitorWithAnOldRegistryChangesNothing(t *testing.T) {
	s := tell(t)
	s.write()
	s.kill("m1")
	s.copyDir(s.Data("m1"), s.Data("m1")+".old")
	s.start("m1")
	s.kill("app1")
	s.awaitPrimary("app2")
	s.start("app1")
	s.awaitInSync("app1", "app2")
	s.rest()
	s.settled()
	epoch, version := s.status("app2").Epoch, s.status("app2").Version

	s.kill("m1")
	s.copyDir(s.Data("m1"), s.Data("m1")+".new")
	s.copyDir(s.Data("m1")+".old", s.Data("m1"))
	s.start("m1")
	s.await("the monitor sees that its registry is old", func() bool { return len(s.said("m1", 0, "failover refused")) > 0 })
	refused := s.said("m1", 0, "failover refused")
	require.Contains(t, refused[0]["detail"], "the registry is older than the nodes")
	for _, n := range s.Nodes() {
		require.Equal(t, epoch, s.status(n).Epoch)
		require.Equal(t, version, s.status(n).Version)
	}
	require.Equal(t, http.StatusNoContent, s.put(time.Second, s.Node("app2"), "meanwhile", "x"), "the data path goes on")

	s.kill("m1")
	s.copyDir(s.Data("m1")+".new", s.Data("m1"))
	s.start("m1")
	s.awaitQuiet()
	require.Equal(t, epoch, s.group().Epoch)
	require.True(t, s.has("app1", "meanwhile"))
}
