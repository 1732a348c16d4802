package memnet

import (
	"math/rand/v2"
	"time"
)

// Link says what one direction between two hosts is like. The zero Link delivers
// at once.
type Link struct {
	Delay  time.Duration // of every segment
	Jitter time.Duration // up to so much more, evenly spread
	Loss   float64       // the share of segments lost and sent again: 0 to less than 1
	Rate   int           // bytes per second; 0: no limit
}

// retransmitAfter is TCP's least wait before it sends a lost segment again; the
// wait doubles with each further loss of the same segment.
const retransmitAfter = 200 * time.Millisecond

// maxLosses bounds how often one segment is lost in a row.
const maxLosses = 6

type link struct {
	Link
	cut bool
}

// SetLink changes what the direction from one host to another is like, for what is
// sent from now on.
func (n *Net) SetLink(from, to string, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.link(from, to).Link = l
}

// Cut cuts the direction from one host to another: nothing of it arrives until
// [Net.Heal], and no connection is made between the two. A host is never cut from
// itself.
func (n *Net) Cut(from, to string) { n.setCut(from, to, true) }

// Heal mends the direction: what was held arrives after the link's delay.
func (n *Net) Heal(from, to string) { n.setCut(from, to, false) }

// CutBoth cuts both directions between two hosts.
func (n *Net) CutBoth(a, b string) {
	n.setCut(a, b, true)
	n.setCut(b, a, true)
}

// HealBoth mends both directions between two hosts.
func (n *Net) HealBoth(a, b string) {
	n.setCut(a, b, false)
	n.setCut(b, a, false)
}

// HealAll mends every cut and makes every link plain again.
func (n *Net) HealAll() {
	n.mu.Lock()
	paths := make([]path, 0, len(n.links))
	for p, l := range n.links {
		l.Link = Link{}
		paths = append(paths, p)
	}
	n.mu.Unlock()
	for _, p := range paths {
		n.setCut(p.from, p.to, false)
	}
}

func (n *Net) setCut(from, to string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.link(from, to)
	if from == to || l.cut == cut {
		return
	}
	now := time.Now()
	for p := range n.pairs {
		for _, c := range p.ends {
			if c.host.name != from || c.peer.host.name != to {
				continue
			}
			if cut {
				c.out.settle(now) // what has arrived by now stays arrived
			} else {
				c.out.redate(now.Add(l.Delay))
			}
		}
		p.changed.broadcast()
	}
	l.cut = cut
	n.wakeDials()
}

func (n *Net) link(from, to string) *link {
	p := path{from, to}
	if n.links[p] == nil {
		n.links[p] = &link{}
	}
	return n.links[p]
}

// transit returns how long a segment that is sent now is under way.
func (l Link) transit(rng *rand.Rand) time.Duration {
	d := l.Delay
	if l.Jitter > 0 {
		d += time.Duration(rng.Int64N(int64(l.Jitter) + 1))
	}
	wait := retransmitAfter
	for range maxLosses {
		if l.Loss <= 0 || rng.Float64() >= l.Loss {
			break
		}
		d += wait
		wait *= 2
	}
	return d
}

// segment is the most that is sent in one piece: small on a slow link, so that
// bytes trickle in as they do on a real one.
func (l Link) segment() int {
	if l.Rate > 0 {
		return 1400
	}
	return 16 << 10
}

// sending returns how long a link of limited rate is busy with so many bytes.
func (l Link) sending(bytes int) time.Duration {
	if l.Rate <= 0 {
		return 0
	}
	return time.Duration(bytes) * time.Second / time.Duration(l.Rate)
}
