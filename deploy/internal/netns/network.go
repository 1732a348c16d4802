// Package netns gives each process of a test a machine of its own: a network
// namespace with one cable to a switch that the test holds in its hand. What
// goes over the switch are the packets of the real TCP, and the test cuts,
// loses, delays, doubles and reorders them, in each direction for itself.
//
// The switch is this process: a cable's other end is a file (a TUN device) that
// packets are read from and written to. So it asks nothing of the kernel but
// namespaces and that device: no traffic control, no filters, no other program.
// Nothing is left behind, however the process ends: namespaces and devices go
// with the last file that holds them.
package netns

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Client is the host of whoever made the network.
const Client = "client"

// Link is what one direction between two hosts does to packets. The zero Link
// passes them on at once.
type Link struct {
	Cut       bool // nothing arrives
	Loss      float64
	Duplicate float64 // of what arrives
	// Reorder is the part that overtakes what is delayed.
	Reorder float64
	Delay   time.Duration
}

// Traffic counts the packets of one direction between two hosts.
type Traffic struct {
	Delivered int // copies included
	Dropped   int
}

// Network is a switch with its cables. Its methods may be called concurrently,
// but for Add and Close.
type Network struct {
	chance func() float64 // from 0 up to 1
	subnet netip.Prefix
	late   *schedule
	work   sync.WaitGroup // the readers of the cables

	mu    sync.Mutex // guards the fields below
	hosts map[netip.Addr]*Host
	names map[string]*Host
	ways  map[way]*state
}

// way is one direction between two hosts.
type way struct{ from, to string }

// state is what is known of one direction.
type state struct {
	link    Link
	traffic Traffic
	// young are the connections begun since the others were abandoned; nil: none
	// was.
	young map[flow]bool
}

// Host is a machine on a network.
type Host struct {
	name    string
	address netip.Addr
	cable   io.ReadWriteCloser
	machine *machine // nil in tests of the switch
}

// Address returns the host's IP address.
func (h *Host) Address() string { return h.address.String() }

func newNetwork() *Network {
	return &Network{
		chance: rand.Float64, late: newSchedule(),
		hosts: map[netip.Addr]*Host{}, names: map[string]*Host{}, ways: map[way]*state{},
	}
}

// plug connects a host and carries what it sends until Close.
func (n *Network) plug(h *Host) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names[h.name] != nil {
		return fmt.Errorf("there is a host %s already", h.name)
	}
	n.names[h.name], n.hosts[h.address] = h, h
	n.work.Go(func() { n.carry(h) })
	return nil
}

// carry takes what a host sends to its receivers until the cable is closed.
func (n *Network) carry(from *Host) {
	buf := make([]byte, maxPacket)
	for {
		size, err := from.cable.Read(buf)
		if err != nil {
			return
		}
		n.forward(from, buf[:size])
	}
}

// Set says what the direction from one host to another does from now on.
func (n *Network) Set(from, to string, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.way(from, to).link = l
}

// Both sets both directions between two hosts.
func (n *Network) Both(a, b string, l Link) {
	n.Set(a, b, l)
	n.Set(b, a, l)
}

// Abandon lets nothing of the present connections between two hosts arrive any
// more, and new ones pass: as when a machine in between has forgotten them.
func (n *Network) Abandon(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	young := map[flow]bool{} // one for both directions
	n.way(a, b).young, n.way(b, a).young = young, young
}

// Heal makes all links plain again. Connections that were abandoned stay so.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.ways {
		s.link = Link{}
	}
}

// Traffic tells what went from one host to another so far.
func (n *Network) Traffic(from, to string) Traffic {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.way(from, to).traffic
}

// way returns the state of a direction. mu is held. A name that is no host's is
// a mistake of the test.
func (n *Network) way(from, to string) *state {
	if n.names[from] == nil || n.names[to] == nil || from == to {
		panic(fmt.Sprintf("netns: there is no way from %q to %q", from, to))
	}
	w := way{from, to}
	if n.ways[w] == nil {
		n.ways[w] = &state{}
	}
	return n.ways[w]
}

// Close pulls all cables. The processes on the hosts must have ended.
func (n *Network) Close() error {
	n.late.close()
	n.mu.Lock()
	var errs []error
	for _, h := range n.names {
		errs = append(errs, h.cable.Close(), h.machine.close())
	}
	n.mu.Unlock()
	n.work.Wait()
	return errors.Join(errs...)
}
