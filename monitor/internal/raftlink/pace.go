package raftlink

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"understudy.example/pkg/together"
)

// paceEvery is how often the leader sends its heartbeats: at the moments at which
// nodes send theirs, so that a monitor at rest wakes up for both at once. Raft itself
// sends one per follower every 30 to 60 ms, each for itself, and nothing that an idle
// monitor does costs more. A follower waits for 300 ms at least before it stands for
// election, and a leader steps down after 250 ms without a majority: a stall of either
// may last for 150 ms.
const paceEvery = 100 * time.Millisecond

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
