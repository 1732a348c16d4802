package bubble

import (
	"slices"
	"time"

	"understudy.example/pkg/memnet"
)

// hosts returns everybody on the network.
func (c *cluster) hosts() []string {
	return slices.Concat(c.names(), c.monitorNames(), []string{clientHost})
}

// links makes every link between two hosts like l.
func (c *cluster) links(l memnet.Link) {
	for _, a := range c.hosts() {
		for _, b := range c.hosts() {
			if a < b {
				c.link(a, b, l)
			}
		}
	}
}

// plainLinks makes the network as quick as a local one.
func (c *cluster) plainLinks() {
	c.links(memnet.Link{Delay: 150 * time.Microsecond, Jitter: 100 * time.Microsecond})
}

// revive makes sure that a node runs and is on the network.
func (c *cluster) revive(name string) {
	c.unfreeze(name)
	if !c.nodes[name].running() {
		c.start(name)
	}
}

// slowLinks makes every link so slow that the steps of a failover are apart.
func (c *cluster) slowLinks() {
	c.links(memnet.Link{Delay: 8 * time.Millisecond, Jitter: 4 * time.Millisecond})
}
