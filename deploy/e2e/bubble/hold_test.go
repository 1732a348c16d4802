package bubble

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
)

// The registry's settings hold, whatever the command line said at birth, also for
// a monitor that starts again.
func TestTheHoldThatWasSetHolds(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		c.mustOrder(http.MethodPatch, "/v1/config", `{"hold":"2s"}`)
		c.stopMonitorOf(monitorName)
		c.startMonitor()
		c.waitInSync(c.names()...)
		for _, name := range c.names() {
			c.powerOff(name)
		}
		began := time.Now()
		require.Equal(t, problem.NoPrimary, c.http.get(monitorAddress, "k").code())
		require.Less(t, time.Since(began), 2500*time.Millisecond)
		for _, name := range c.names() {
			c.start(name)
		}
		c.finish()
	})
}
