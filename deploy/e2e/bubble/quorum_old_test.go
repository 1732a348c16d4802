package bubble

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/memnet"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// onlyForward looks at every node again and again: within a boot neither its epoch nor
// the version of its record goes back, nor its epoch over a restart. The returned
// function ends it, and tells how often it looked.
func (c *cluster) onlyForward() (end func() int) {
	var work sync.WaitGroup
	var stop atomic.Bool
	var looks atomic.Int64
	for _, name := range c.names() {
		work.Go(func() {
			var last wire.Heartbeat
			for ; !stop.Load(); time.Sleep(5 * time.Millisecond) {
				hb, err := c.http.heartbeat(name)
				if err != nil || len(hb.Groups) == 0 {
					continue
				}
				looks.Add(1)
				if hb.UUID == last.UUID {
					was, now := last.Groups[0], hb.Groups[0]
					if now.Epoch < was.Epoch || hb.Boot == last.Boot && now.Version < was.Version {
						c.t.Errorf("%s went back from epoch %d, version %d to epoch %d, version %d", name, was.Epoch, was.Version, now.Epoch, now.Version)
						return
					}
				}
				last = hb
			}
		})
	}
	return func() int {
		stop.Store(true)
		work.Wait()
		return int(looks.Load())
	}
}

// Answers to heartbeats of a monitor that leads come late, with the record of then,
// when others have taken the leadership and changed the primary: nobody goes back.
func TestAnOldAnswerOfAFormerLeader(t *testing.T) {
	for _, late := range []time.Duration{100, 300, 600, 900} {
		t.Run((late * time.Millisecond).String(), func(t *testing.T) {
			inBubble(t, threeMonitors(), func(t *testing.T, c *cluster) {
				c.plainLinks()
				former := c.leader()
				c.via = monitorAt(c.followers()[0])
				primary, _ := c.roles()
				l := c.startLoad("load", 2)
				looked := c.onlyForward()
				for _, name := range c.names() {
					c.net.SetLink(former, name, memnet.Link{Delay: late * time.Millisecond})
				}
				time.Sleep(2 * time.Second)
				for _, other := range c.monitorNames() {
					if other != former {
						c.net.CutBoth(former, other)
					}
				}
				c.crash(primary)
				c.eventually("another leader, another primary", func() bool {
					g := c.http.clusterAt(c.via).Groups
					return len(g) == 1 && g[0].Epoch == 2 && g[0].Serving
				})
				time.Sleep(2 * time.Second)
				require.Equal(t, protocol.Epoch(1), c.http.clusterAt(monitorAt(former)).Groups[0].Epoch, "it knows nothing of it")
				c.start(primary)
				time.Sleep(2 * time.Second)
				c.net.HealAll()
				c.plainLinks()
				c.waitInSync(c.names()...)
				l.stop()
				require.Greater(t, looked(), 100)
				c.finish()
				require.EqualValues(t, 2, c.group().Epoch)
			})
		})
	}
}
