package proxy

import (
	"net/http"
	"sync"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// newest holds, per group, the newest position that this monitor has answered,
// so that a caller who reads a standby does not see less than it has seen.
type newest struct {
	mu        sync.Mutex // guards positions
	positions map[protocol.GroupID]protocol.Position
}

// note takes the position of an answer.
func (n *newest) note(g protocol.GroupID, answer http.Header) {
	p, err := protocol.ParsePosition(answer.Get(wire.HeaderPosition))
	if err != nil {
		return // an answer without one
	}
	n.noteAt(g, p)
}

// noteAt takes a position that a caller was told.
func (n *newest) noteAt(g protocol.GroupID, p protocol.Position) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.positions == nil {
		n.positions = map[protocol.GroupID]protocol.Position{}
	}
	if p.Compare(n.positions[g]) > 0 {
		n.positions[g] = p
	}
}

// demand has a request ask for a replica's own copy, not older than the newest
// answer, nor than the request itself wants.
func (n *newest) demand(g protocol.GroupID, request http.Header) {
	request.Set(wire.HeaderConsistency, wire.Stale)
	n.mu.Lock()
	least, known := n.positions[g]
	n.mu.Unlock()
	own := request.Get(wire.HeaderPosition)
	wanted, err := protocol.ParsePosition(own)
	if own != "" && (err != nil || wanted.Compare(least) >= 0) {
		return // a position that is no position is the node's to refuse
	}
	if known {
		request.Set(wire.HeaderPosition, least.String())
	}
}
