// Package memnet is a network in memory for tests: hosts that listen and dial
// by name, on links that can be cut, slowed and made lossy while connections are
// open. It starts no goroutine, blocks on nothing but channels and takes all time
// from package time, so that whole daemons run on it in a testing/synctest bubble.
// A Net that is used in a bubble must be made in it.
//
// An address is "app1:8081": a host's name and a port. There are no IP addresses
// and no wildcard. The connections behave as TCP's do, with these differences:
//
//   - What is lost is only late: TCP sends it again, so a lossy link delivers every
//     byte, once and in order, and a cut one holds what is under way until it is
//     healed. Peers learn of a cut from their own deadlines alone.
//   - An acknowledgement costs nothing: a cut in one direction stops the bytes of
//     that direction and every new connection, not the bytes of the other one.
//   - An end of the connection (FIN or RST) travels behind the bytes sent before it.
package memnet

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Net is a network. Its methods may be called at any time from any goroutine.
type Net struct {
	mu    sync.Mutex // guards everything of the network, and is never held over a wait
	rng   *rand.Rand
	hosts map[string]*Host // the present process of each name
	off   map[string]*Host // the last process of each machine without power
	links map[path]*link
	pairs map[*pair]struct{} // connections of which an end is open
	port  int                // the last ephemeral port handed out
}

// path is one direction between two hosts.
type path struct{ from, to string }

// New makes a network without hosts. The seed decides jitter and loss.
func New(seed uint64) *Net {
	return &Net{
		rng:   rand.New(rand.NewPCG(seed, 0)),
		hosts: map[string]*Host{},
		off:   map[string]*Host{},
		links: map[path]*link{},
		pairs: map[*pair]struct{}{},
		port:  32768,
	}
}

// Host returns the process that runs under the name, making one where there is
// none, or where the last one has crashed or lost its power. A machine whose power
// returns resets the connections that its peers still believe in.
func (n *Net) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[name]; h != nil {
		return h
	}
	h := &Host{net: n, name: name, listeners: map[string]*listener{}}
	n.hosts[name] = h
	if last := n.off[name]; last != nil {
		delete(n.off, name)
		last.frozen = false
		for _, c := range n.ends(last) {
			c.abortive = true
			c.shut()
		}
		n.wakeDials()
	}
	return h
}

// Crash ends the host's process as kill -9 does: its listeners are gone, what it
// has sent is still delivered, and then its peers read the end of the connection,
// or a reset where it had not read all that they sent. The Host is dead for good;
// [Net.Host] makes the next process under the name.
func (n *Net) Crash(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[name]; h != nil {
		h.frozen = false
		n.end(h)
	}
}

// PowerOff stops the host's machine: what it has sent and has not arrived is lost,
// its peers hear nothing, not even a refusal, and dials to it wait, until
// [Net.Host] starts the next process under the name.
func (n *Net) PowerOff(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[name]
	if h == nil {
		return
	}
	n.off[name] = h
	h.frozen = true // its last words are held for ever
	for _, c := range n.ends(h) {
		c.out.lose(time.Now())
	}
	n.end(h)
}

// end takes the process off the network.
func (n *Net) end(h *Host) {
	delete(n.hosts, h.name)
	h.dead = true
	for _, l := range h.listeners {
		l.close()
	}
	for _, c := range n.ends(h) {
		c.shut()
	}
	h.changed.broadcast()
}

// wakeDials lets every dial look again whether there is a way.
func (n *Net) wakeDials() {
	for _, h := range n.hosts {
		h.changed.broadcast()
	}
}

// Freeze stops the host as SIGSTOP does, as far as its sockets show it: it accepts,
// reads, writes and dials nothing until [Net.Unfreeze], while its kernel goes on
// taking connections and bytes in. Its goroutines and timers run on; deadlines
// and contexts still end the calls that wait.
func (n *Net) Freeze(name string) { n.setFrozen(name, true) }

// Unfreeze lets a frozen host go on.
func (n *Net) Unfreeze(name string) { n.setFrozen(name, false) }

func (n *Net) setFrozen(name string, frozen bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[name]
	if h == nil || h.frozen == frozen {
		return
	}
	h.frozen = frozen
	h.changed.broadcast()
	for _, c := range n.ends(h) {
		if c.shutHeld && !frozen {
			c.shut()
		}
		c.pair.changed.broadcast()
	}
	for _, l := range h.listeners {
		l.changed.broadcast()
	}
}

// Reset aborts every open connection between the two hosts: both ends fail with
// ECONNRESET at once, whatever the links are like.
func (n *Net) Reset(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for p := range n.pairs {
		if p.joins(a, b) {
			p.abort(syscall.ECONNRESET)
		}
	}
}

// Close ends every process and thereby every connection and listener, so that
// nothing waits on the network any more.
func (n *Net) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.hosts {
		n.end(h)
	}
	for p := range n.pairs {
		p.abort(syscall.ECONNRESET)
	}
}

// Open returns how many connections have an end that was not closed.
func (n *Net) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.pairs)
}

// ends lists the host's own ends of its open connections, oldest first, so that
// what a crash does comes in the same order every time.
func (n *Net) ends(h *Host) []*conn {
	var out []*conn
	for p := range n.pairs {
		for _, c := range p.ends {
			if c.host == h {
				out = append(out, c)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *conn) int { return a.pair.number - b.pair.number })
	return out
}

func (n *Net) nextPort() string {
	n.port++
	return strconv.Itoa(n.port)
}

// await waits for a broadcast of s, for the moment at (the zero time never comes)
// or for cancel. It is called with mu held and gives it up meanwhile.
func (n *Net) await(s *signal, at time.Time, cancel <-chan struct{}) {
	woken := s.wait()
	n.mu.Unlock()
	defer n.mu.Lock()
	var alarm <-chan time.Time
	if !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-woken:
	case <-alarm:
	case <-cancel:
	}
}

// signal wakes all who wait on it. It is guarded by the network's mutex.
type signal struct{ ch chan struct{} }

func (s *signal) wait() <-chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) broadcast() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
