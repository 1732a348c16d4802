package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/together"
	"understudy.example/pkg/wire"
)

const (
	// peerEvery is how often every other node is asked for its heartbeat.
	peerEvery = time.Second
	// peerTimeout bounds one such question. Who takes longer is seen as down.
	peerTimeout = 500 * time.Millisecond
	// streamFresh is how old the last word of a primary on its stream may be for
	// the primary to be seen as up: confirms come each 100 ms.
	streamFresh = 300 * time.Millisecond
	// maxHeartbeat bounds what is read of a peer's answer, in bytes.
	maxHeartbeat = 1 << 20
)

// sight is what was seen of another node. It is replaced, never changed.
type sight struct {
	info wire.NodeInfo
	// heard is when it answered last, zero for never, and said what it said.
	heard time.Time
	said  *wire.Heartbeat
	why   string // the last question was not answered; empty: it was
}

// peers is what this node sees of the others.
type peers struct {
	mu   sync.Mutex // guards seen
	seen map[protocol.UUID]sight
}

// watchPeers asks every other node for its heartbeat each second.
func (n *node) watchPeers(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(together.Until(peerEvery)):
		}
		n.askPeers(ctx)
	}
}

// askPeers asks all at once, and waits for the answers.
func (n *node) askPeers(ctx context.Context) {
	word := n.known.Load()
	if word == nil {
		return
	}
	var asking sync.WaitGroup
	known := map[protocol.UUID]bool{}
	for _, info := range word.Nodes {
		if info.UUID != n.dir.UUID() {
			known[info.UUID] = true
			asking.Go(func() { n.askPeer(ctx, info) })
		}
	}
	asking.Wait()
	n.peers.keep(known)
}

func (n *node) askPeer(ctx context.Context, info wire.NodeInfo) {
	hb, err := n.getHeartbeat(ctx, info.Address)
	if err == nil && hb.UUID != info.UUID {
		err = fmt.Errorf("%s answers there", hb.Name)
	}
	if ctx.Err() == nil {
		n.peers.saw(info, hb, err)
	}
}

func (n *node) getHeartbeat(ctx context.Context, address string) (*wire.Heartbeat, error) {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+wire.PathProbe, nil)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	res, err := n.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxHeartbeat))
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode != http.StatusOK:
		return nil, problem.Parse(res.StatusCode, res.Header, body)
	}
	hb := new(wire.Heartbeat)
	if err := json.Unmarshal(body, hb); err != nil {
		return nil, fmt.Errorf("heartbeat of %s: %w", address, err)
	}
	return hb, wire.CheckFormat(hb.V)
}

// saw keeps what came of a question.
func (p *peers) saw(info wire.NodeInfo, hb *wire.Heartbeat, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seen[info.UUID]
	s.info = info
	if err == nil {
		s.heard, s.said, s.why = time.Now(), hb, ""
	} else {
		s.why = err.Error()
	}
	p.seen[info.UUID] = s
}

// keep forgets the nodes that are not known any more.
func (p *peers) keep(known map[protocol.UUID]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for u := range p.seen {
		if !known[u] {
			delete(p.seen, u)
		}
	}
}

// sights returns what is seen of the others, by name. A standby's stream says more
// of its primary than a question each second.
func (n *node) sights() []sight {
	n.peers.mu.Lock()
	out := make([]sight, 0, len(n.peers.seen))
	for _, s := range n.peers.seen {
		out = append(out, s)
	}
	n.peers.mu.Unlock()
	if n.replica != nil {
		if primary, heard := n.replica.PrimaryHeard(); !heard.IsZero() {
			out = withStream(out, primary, heard, n.infoOf)
		}
	}
	slices.SortFunc(out, func(a, b sight) int { return cmp.Compare(a.info.Name, b.info.Name) })
	return out
}

func withStream(seen []sight, primary protocol.UUID, heard time.Time, infoOf func(protocol.UUID) (wire.NodeInfo, bool)) []sight {
	i := slices.IndexFunc(seen, func(s sight) bool { return s.info.UUID == primary })
	if i < 0 {
		info, ok := infoOf(primary)
		if !ok {
			return seen
		}
		seen, i = append(seen, sight{info: info, why: "it has not been asked yet"}), len(seen)
	}
	s := &seen[i]
	if heard.After(s.heard) {
		s.heard = heard
	}
	if time.Since(heard) < streamFresh {
		s.why = ""
	}
	return seen
}

func (s sight) sees() string {
	if s.why == "" {
		return wire.SeesUp
	}
	return wire.SeesDown
}

// look puts what this node sees of the others into its heartbeat.
func (n *node) look(hb *wire.Heartbeat) {
	if word := n.known.Load(); word != nil {
		hb.Knows = make(map[string]protocol.UUID, len(word.Nodes))
		for _, info := range word.Nodes {
			if info.UUID != hb.UUID {
				hb.Knows[info.Name] = info.UUID
			}
		}
	}
	for _, s := range n.sights() {
		if hb.Sees == nil {
			hb.Sees, hb.SeenMS = map[string]string{}, map[string]int64{}
		}
		hb.Sees[s.info.Name] = s.sees()
		if !s.heard.IsZero() {
			hb.SeenMS[s.info.Name] = time.Since(s.heard).Milliseconds()
		}
	}
}

// Peers implements httpapi.Replica.
func (n *node) Peers() []wire.Peer {
	newest := newestOf(n.Status())
	seen := n.sights()
	for _, s := range seen {
		if s.said != nil && newestOf(*s.said).Compare(newest) > 0 {
			newest = newestOf(*s.said)
		}
	}
	out := make([]wire.Peer, 0, len(seen))
	for _, s := range seen {
		out = append(out, s.peer(newest))
	}
	return out
}

func (s sight) peer(newest protocol.Position) wire.Peer {
	p := wire.Peer{Name: s.info.Name, UUID: s.info.UUID, Address: s.info.Address, Sees: s.sees(), AgeMS: -1, Why: s.why}
	if !s.heard.IsZero() {
		p.AgeMS = time.Since(s.heard).Milliseconds()
	}
	if s.said == nil {
		return p
	}
	p.State = s.said.State
	for _, g := range s.said.Groups {
		p.Role, p.Epoch, p.At = g.Role, g.Epoch, g.Position
		p.LagRecords = max(0, int64(newest.Seq)-int64(g.Position.Seq))
	}
	return p
}

func newestOf(hb wire.Heartbeat) (at protocol.Position) {
	for _, g := range hb.Groups {
		if g.Position.Compare(at) > 0 {
			at = g.Position
		}
	}
	return at
}
