package bubble

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestTroubleWithoutAFailure does harm at random moments under load, one after the
// other, with a whole cluster before each: nobody who asks the monitor notices
// more than a pause.
func TestTroubleWithoutAFailure(t *testing.T) {
	forSeeds(t, func(t *testing.T, seed uint64, o clusterOptions) {
		inBubble(t, o, func(t *testing.T, c *cluster) {
			c.troubles(rand.New(rand.NewPCG(seed, 2)))
		})
	})
}

// troubles does harm eight times, and judges what clients saw.
func (c *cluster) troubles(rng *rand.Rand) {
	c.plainLinks()
	l := c.startStrict()
	for range 8 {
		time.Sleep(time.Duration(rng.Int64N(int64(200 * time.Millisecond))))
		c.trouble(rng)
		time.Sleep(time.Duration(rng.Int64N(int64(time.Second))))
		c.heal()
		c.waitCopies()
	}
	c.t.Logf("the longest of the requests took %s", l.zeros())
}

// trouble is one fault, or one order, from which a whole cluster recovers by itself.
func (c *cluster) trouble(rng *rand.Rand) {
	names := c.names()
	i := rng.IntN(len(names))
	name, other := names[i], names[(i+1)%len(names)]
	faults := []func(){
		func() { c.crash(name) },
		func() { c.powerOff(name) },
		func() { c.powerCut(name, rng) },
		func() { c.crash(name); c.start(name) },
		func() { c.crash(name); c.wipe(name); c.start(name) },
		func() { c.freeze(name) },
		func() { c.net.CutBoth(name, monitorName) },
		func() { c.net.Cut(name, monitorName) },
		func() { c.net.Cut(monitorName, name) },
		func() { c.net.CutBoth(name, other) },
		func() { c.net.Cut(name, other) },
		func() { c.aside(name) },
		func() { c.net.Reset(name, monitorName) },
		c.switchover,
		func() { c.mustOrder("POST", "/v1/failover", "") },
		func() { c.terminate(name) },
		func() { c.maintain(name, true) },
	}
	faults[rng.IntN(len(faults))]()
}
