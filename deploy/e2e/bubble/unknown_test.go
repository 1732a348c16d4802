package bubble

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// asks sends one write under a key of the caller's again and again, each time
// waiting for so long, until it is answered.
func (c *cluster) asks(key, value, id string, wait time.Duration, condition ...string) answer {
	c.t.Helper()
	var a answer
	c.eventually("an answer about "+id, func() bool {
		header := append([]string{wire.HeaderKey, id}, condition...)
		a = c.http.sendWithin(wait, http.MethodPut, monitorAddress+"/v1/kv/"+key, value, header...)
		return a.err == nil
	})
	return a
}

// A caller that does not wait for the answer asks again through a failover, and is
// told the answer of the one time that the write was applied.
func TestWriteIsRetriedThroughAFailover(t *testing.T) {
	for _, test := range []struct {
		name string
		hit  func(c *cluster, primary string)
	}{
		{"crash", func(c *cluster, p string) { c.crash(p) }},
		{"power cut", func(c *cluster, p string) { c.powerOff(p) }},
		{"freeze", func(c *cluster, p string) { c.freeze(p) }},
		{"switchover", func(c *cluster, _ string) { c.switchover() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, two(), func(t *testing.T, c *cluster) {
				c.slowLinks()
				primary, _ := c.roles()
				for i := range 40 { // one a millisecond, around the moment of the hit
					key := "strict-once-" + strconv.Itoa(i)
					go c.http.sendWithin(30*time.Millisecond, http.MethodPut, monitorAddress+"/v1/kv/"+key, "v", wire.HeaderKey, key, "If-None-Match", "*")
					time.Sleep(time.Millisecond)
				}
				test.hit(c, primary)
				for i := range 40 {
					key := "strict-once-" + strconv.Itoa(i)
					a := c.asks(key, "v", key, 100*time.Millisecond, "If-None-Match", "*")
					require.Equal(t, http.StatusNoContent, a.status, "applied twice, the condition would not hold: %s", a.body)
					again := c.asks(key, "v", key, time.Second, "If-None-Match", "*")
					require.Equal(t, a.header.Get("ETag"), again.header.Get("ETag"))
					other := c.asks(key, "other", key, time.Second)
					require.Equal(t, problem.IDReused, other.code(), "the same id for another request")
				}
				c.revive(primary)
				c.finish()
			})
		})
	}
}

// With nobody to serve for longer than the hold, every request is told the truth:
// what was not sent was not applied, and of what was sent the caller gets a key
// that tells later.
func TestTheHoldIsHonest(t *testing.T) {
	o := two()
	o.settings = func(s *protocol.Settings) { s.Hold = protocol.Duration(time.Second) }
	inBubble(t, o, func(t *testing.T, c *cluster) {
		c.plainLinks()
		primary, standby := c.roles()
		c.mustPut("before", "v")
		c.net.Cut(standby, primary) // what is written now is on both disks, and nobody says so
		sent := make(chan answer, 1)
		go func() { sent <- c.http.put(monitorAddress, "strict-sent", "v") }()
		time.Sleep(50 * time.Millisecond)
		c.crash(primary)
		c.crash(standby)
		time.Sleep(50 * time.Millisecond)

		began := time.Now()
		reads := make(chan answer, 1)
		go func() { reads <- c.http.get(monitorAddress, "before") }()
		written := c.http.put(monitorAddress, "strict-not-sent", "v")
		for _, a := range []answer{written, <-reads} {
			require.Equal(t, problem.NoPrimary, a.code(), "%s", a.body)
			require.Equal(t, http.StatusServiceUnavailable, a.status)
			require.NotEmpty(t, a.header.Get("Retry-After"))
		}
		require.InDelta(t, 1, time.Since(began).Seconds(), 0.1)
		a := <-sent
		require.Equal(t, problem.OutcomeUnknown, a.code(), "%s", a.body)
		require.Equal(t, http.StatusGatewayTimeout, a.status)
		id := problem.Parse(a.status, a.header, a.body).Key
		require.NotEmpty(t, id)

		c.net.HealAll()
		c.start(primary)
		c.start(standby)
		c.waitInSync(c.names()...)
		require.Equal(t, http.StatusNotFound, c.http.get(monitorAddress, "strict-not-sent").status, "as it was told")
		told := c.asks("strict-sent", "v", id, time.Second)
		require.Equal(t, http.StatusNoContent, told.status)
		for _, at := range []string{monitorAddress, address(c.group().Primary)} {
			again := c.http.send(http.MethodPut, at+"/v1/kv/strict-sent", "v", wire.HeaderKey, id)
			require.Equal(t, told.header.Get("ETag"), again.header.Get("ETag"), "%s tells the same", at)
		}
		require.Equal(t, told.header.Get("ETag"), c.http.get(monitorAddress, "strict-sent").header.Get("ETag"), "applied once")
		c.finish()
	})
}
