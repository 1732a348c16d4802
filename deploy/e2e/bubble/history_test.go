package bubble

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/history"
	"understudy.example/pkg/problem"
)

// Keys that every writer of a load writes and reads, each time another value.
const (
	sharedPrefix = "shared-"
	sharedKeys   = 3
	// sharedWait is how long a caller of a shared key waits for an answer. It then
	// does not know the outcome.
	sharedWait = 2 * time.Second
)

// share writes a shared key through a monitor, or reads one from whomever.
func (c *cluster) share(via, at, value string, turn int) {
	key := fmt.Sprint(sharedPrefix, turn%sharedKeys)
	if turn%2 == 0 {
		call := c.ledger.shared.Begin(history.Operation{Kind: history.Write, Key: key, Value: value})
		a := c.http.sendWithin(sharedWait, http.MethodPut, via+"/v1/kv/"+key, value)
		if code := a.code(); code == "" {
			call.Done()
		} else if code != problem.OutcomeUnknown && code != noAnswer {
			call.Withdrawn()
		}
		return
	}
	call := c.ledger.shared.Begin(history.Operation{Kind: history.Read, Key: key})
	a := c.http.sendWithin(sharedWait, http.MethodGet, at+"/v1/kv/"+key, "")
	switch {
	case a.err != nil:
	case a.status == http.StatusOK:
		call.Shown(string(a.body))
	case a.status == http.StatusNotFound:
		call.Shown("")
	}
}

// judgeShared judges the history of the shared keys, which ends with a state.
func (l *ledger) judgeShared(state map[string]string) {
	l.t.Helper()
	for _, key := range l.shared.Keys() {
		l.shared.Begin(history.Operation{Kind: history.Read, Key: key}).Shown(state[key])
	}
	require.Empty(l.t, l.shared.Judge(0).Broken)
}

// The history that a load records shows a stale read, and a state that lacks a
// write.
func TestHistoriesShowWhatIsWrong(t *testing.T) {
	inBubble(t, two(), func(t *testing.T, c *cluster) {
		l := c.startLoad("load", 3)
		time.Sleep(time.Second)
		l.stop()
		require.Greater(t, c.ledger.shared.Len(), 100)
		c.finish()
		c.ledger.shared.Begin(history.Operation{Kind: history.Read, Key: sharedPrefix + "0"}).Shown("load-0-0")
		c.ledger.shared.Begin(history.Operation{Kind: history.Read, Key: sharedPrefix + "1"}).Shown("")
		broken := c.ledger.shared.Judge(0).Broken
		require.Len(t, broken, 2)
		require.Contains(t, broken[0], "nothing fits read load-0-0")
		require.Contains(t, broken[1], "nothing fits read nothing")
	})
}
