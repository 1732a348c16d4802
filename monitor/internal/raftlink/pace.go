package raftlink

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"understudy.example/pkg/together"
)

// paceEvery is how often the leader sends its heartbeats. Raft itself sends one per
// follower every 25 to 50 ms, each for itself, and nothing that an idle monitor does
// costs more. A follower waits for 250 ms at least before it stands for election, and
// a leader steps down after 200 ms without a majority: two may still be lost. Every
// other one falls on the moment of the nodes' heartbeats.
const paceEvery = 50 * time.Millisecond

// paced is a transport that sends the heartbeats to all followers at the same
// moments.
type paced struct {
	*raft.NetworkTransport
	ctx context.Context // ends with the link
}

// AppendEntries implements [raft.Transport].
func (p *paced) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if isHeartbeat(args) {
		p.await()
	}
	return p.NetworkTransport.AppendEntries(id, target, args, resp)
}

// await waits for the next moment at which heartbeats are sent, or the link's end.
func (p *paced) await() {
	timer := time.NewTimer(together.Until(paceEvery))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ctx.Done():
	}
}

// isHeartbeat tells whether a message carries nothing, as Raft's transport does.
func isHeartbeat(a *raft.AppendEntriesRequest) bool {
	return a.Term != 0 && a.PrevLogEntry == 0 && a.PrevLogTerm == 0 && len(a.Entries) == 0 && a.LeaderCommitIndex == 0
}
