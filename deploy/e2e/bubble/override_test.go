package bubble

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// Who alone holds what was acknowledged is lost for good, and an operator decides
// to go on without: what that means is said, kept, and true of whoever returns.
func TestAnOverrideLosesWhatItSaysAndNothingElse(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		first, second := c.roles()
		put := func(key, value string) string {
			a := c.http.put(monitorAddress, key, value)
			require.NoError(t, a.err)
			require.Equal(t, http.StatusNoContent, a.status, string(a.body))
			return a.header.Get(wire.HeaderPosition)
		}
		put("kept", "1")
		c.crash(second)
		c.waitInSync(first)
		lost := put("lost", "1")
		put("lost", "2") // whose record says that the first was committed
		c.powerOff(first)
		c.start(second)
		time.Sleep(2 * time.Second)
		require.False(t, c.group().Serving, "it is not guessed")
		require.Contains(t, c.group().Failover.Reason, first)

		const body = `{"to":"app2","force":true,"reason":"app1 burnt"}`
		require.Equal(t, problem.WouldLoseData, c.order(http.MethodPost, "/v1/failover", `{}`).code(), "nobody holds everything")
		require.Equal(t, problem.WouldLoseData, c.order(http.MethodPost, "/v1/failover", body).code(), "it was heard a moment ago")
		c.mustOrder(http.MethodPost, "/v1/failover", `{"to":"app2","force":true,"reason":"app1 burnt","primary_is_stopped":true}`)
		require.Equal(t, "1", string(c.http.get(monitorAddress, "kept").body))
		require.Equal(t, problem.NotFound, c.http.get(monitorAddress, "lost").code())
		now := put("after", "1")
		a := c.http.send(http.MethodGet, address(second)+"/v1/kv/kept", "", wire.HeaderConsistency, wire.Session, wire.HeaderPosition, lost)
		require.Equal(t, problem.HistoryLost, a.code(), "a position of the lost branch")
		a = c.http.send(http.MethodGet, address(second)+"/v1/kv/kept", "", wire.HeaderConsistency, wire.Session, wire.HeaderPosition, now)
		require.Equal(t, "1", string(a.body))
		require.Equal(t, problem.PreconditionFailed, c.http.send(http.MethodPut, monitorAddress+"/v1/kv/kept", "2", "If-Match", `"`+lost+`"`).code())

		c.start(first)
		c.waitInSync(first, second)
		require.Equal(t, second, c.group().Primary)
		require.Equal(t, 1, c.story.count("the group goes on without what only this replica holds"))
		for _, name := range c.names() {
			s, err := c.http.replica(name)
			require.NoError(t, err)
			require.Equal(t, map[string]string{"kept": "1", "after": "1"}, s.values, name)
		}
	})
}
