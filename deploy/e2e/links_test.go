package e2e

import (
	"strings"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/cluster"
	"understudy.example/deploy/internal/forward"
	"understudy.example/deploy/internal/netns"
)

// Kinds of traffic to a node: what its peers send, and what monitors send.
const (
	peers    = "peers"
	monitors = "monitors"
)

// links puts a forwarder on every way between the processes.
func links(s *story, o *cluster.Options) {
	o.Route = func(from, to, address string) (string, error) {
		f, err := forward.Listen(s.t.Context(), address, func(first string) string {
			if strings.Contains(first, " /internal/stream") || strings.Contains(first, " /internal/snapshot") {
				return peers
			}
			return monitors
		})
		if err != nil {
			return "", err
		}
		s.t.Cleanup(func() { require.NoError(s.t, f.Close()) })
		s.ways[from+">"+to] = f
		return f.Address(), nil
	}
}

// monitorLink cuts a node from the monitor as told: its heartbeats and proposals,
// and what the monitor sends to it.
func (s *story) monitorLink(node string, beats, orders forward.Cut) {
	s.ways[node+">m1"].Set(monitors, beats)
	s.ways[">"+node].Set(monitors, orders)
}

var bothWays, noCut = forward.Both(), forward.Cut{}

// cutMonitor cuts a node from the monitor, both ways; heal ends it.
func (s *story) cutMonitor(node string) {
	if s.net != nil {
		s.net.Both("m1", node, netns.Link{Cut: true})
		return
	}
	s.monitorLink(node, bothWays, bothWays)
}

func (s *story) healMonitor(node string) {
	if s.net != nil {
		s.net.Both("m1", node, netns.Link{})
		return
	}
	s.monitorLink(node, noCut, noCut)
}

// cutPeers cuts all streams between nodes.
func (s *story) cutPeers() {
	if s.net != nil {
		s.linkPeers(netns.Link{Cut: true})
		return
	}
	s.setPeers(bothWays)
}

// healPeers ends the cut. What a forwarder held is lost, as in a network that was
// down for longer than its buffers last.
func (s *story) healPeers() {
	if s.net != nil {
		s.linkPeers(netns.Link{})
		return
	}
	for _, n := range s.Nodes() {
		s.ways[">"+n].Break(peers)
	}
	s.setPeers(noCut)
}

// abandonAll leaves all connections between processes open, and carries nothing
// on them any more.
func (s *story) abandonAll() {
	for i, n := range s.Nodes() {
		if s.net == nil {
			s.ways[">"+n].Abandon(peers)
			s.ways[n+">m1"].Abandon(monitors)
			continue
		}
		s.net.Abandon("m1", n)
		for _, b := range s.Nodes()[i+1:] {
			s.net.Abandon(n, b)
		}
	}
}

// linkPeers makes the links between all nodes like l.
func (s *story) linkPeers(l netns.Link) {
	for i, a := range s.Nodes() {
		for _, b := range s.Nodes()[i+1:] {
			s.net.Both(a, b, l)
		}
	}
}

func (s *story) setPeers(c forward.Cut) {
	for _, n := range s.Nodes() {
		s.ways[">"+n].Set(peers, c)
	}
}
