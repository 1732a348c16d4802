package bubble

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/wire"
)

const (
	bigKeys  = 12
	bigValue = 900 << 10 // bytes: what is under way is more than what waits on the way
)

// Who reads the state slowly gets it to its end, as it was when it was asked for,
// although the node that sends it is not the primary any more, or not in sync.
func TestAnAnswerThatHasBegunIsNotCut(t *testing.T) {
	for name, test := range map[string]struct {
		options clusterOptions
		hit     func(c *cluster, primary, standby string)
	}{
		"switchover":     {two(), func(c *cluster, _, _ string) { c.switchover() }},
		"there and back": {two(), func(c *cluster, _, _ string) { c.switchover(); c.switchover() }},
		"failover of a living node": {two(), func(c *cluster, p, _ string) {
			c.mustOrder(http.MethodPost, "/v1/failover", "")
			c.eventually("another primary", func() bool { g := c.group(); return g.Primary != p && g.Serving })
		}},
		"standbys leave the set": {spread(three()), func(c *cluster, _, s string) {
			c.maintain(s, true)
			c.eventually("out", func() bool { return len(c.group().InSync) == 2 })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, test.options, func(t *testing.T, c *cluster) {
				c.plainLinks()
				for k := range bigKeys {
					c.mustPut(fmt.Sprint(k), strings.Repeat("x", bigValue))
				}
				primary, standby := c.roles()
				answers := map[string]*http.Response{}
				for range c.names() {
					res, err := c.http.http.Get("http://" + monitorAddress + "/v1/state")
					require.NoError(t, err)
					defer res.Body.Close()
					answers[res.Header.Get(wire.HeaderNode)] = res
				}
				test.hit(c, primary, standby)
				c.mustPut("0", "later")
				time.Sleep(5 * time.Second)
				if test.options.settings != nil {
					require.Contains(t, answers, standby)
				}
				for _, res := range answers {
					text, err := io.ReadAll(res.Body)
					require.NoError(t, err)
					var state map[string]string
					require.NoError(t, json.Unmarshal(text, &state))
					require.Len(t, state, bigKeys)
					require.Len(t, state["0"], bigValue, "a snapshot")
				}
				c.heal()
				c.finish()
			})
		})
	}
}
