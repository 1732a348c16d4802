package netns

import (
	"bytes"
	"time"
)

// forward passes a packet on as its link will have it. The packet is the
// caller's again afterwards.
func (n *Network) forward(from *Host, data []byte) {
	p, ok := parse(data)
	if !ok {
		return // no IPv4: what systems say on every network
	}
	to, times, delay := n.judge(from, p)
	if to == nil {
		return
	}
	if delay == 0 {
		for range times {
			to.receive(data)
		}
		return
	}
	held := bytes.Clone(data)
	for range times {
		n.late.after(delay, func() { to.receive(held) })
	}
}

// receive hands a packet to the host. One that it cannot take is lost, as on
// any network.
func (h *Host) receive(data []byte) { _, _ = h.cable.Write(data) }

// judge decides who gets a packet, how often, and how much later. A nil host
// gets nothing.
func (n *Network) judge(from *Host, p packet) (to *Host, times int, delay time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	to = n.hosts[p.to]
	if to == nil || to == from {
		return nil, 0, 0
	}
	s := n.way(from.name, to.name)
	if s.link.Cut || s.forgotten(p) || n.chance() < s.link.Loss {
		s.traffic.Dropped++
		return nil, 0, 0
	}
	times, delay = 1, s.link.Delay
	if n.chance() < s.link.Duplicate {
		times = 2
	}
	if n.chance() < s.link.Reorder {
		delay = 0
	}
	s.traffic.Delivered += times
	return to, times, delay
}

// forgotten tells whether a packet belongs to a connection that was abandoned.
func (s *state) forgotten(p packet) bool {
	if s.young == nil || !p.tcp {
		return false
	}
	if p.opening {
		s.young[p.flow()] = true
	}
	return !s.young[p.flow()]
}
