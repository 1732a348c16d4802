package replica

import (
	"time"

	"understudy.example/pkg/protocol"
)

// Measures is what a replica knows of its own size and load at one moment.
type Measures struct {
	View    int // replicas that must hold a record before it is acknowledged; 0 in other roles than primary
	Lags    []Lag
	Streams bool          // at a standby: the primary is on the stream
	Heard   time.Duration // since the primary was last heard on it; -1 where it was not

	Watchers               int
	Keys                   int
	StateBytes, StateLimit int64 // as -max-bytes counts them; no limit: 0
	Sessions, RequestKeys  int   // whose answers are remembered
	JournalBytes           int64 // written since the start
}

// Lag is how far a standby is behind, as its primary sees it.
type Lag struct {
	UUID      protocol.UUID
	Connected bool
	Records   uint64
	Bytes     int64         // about, of the journal
	Age       time.Duration // of the oldest record that it has not acknowledged
}

// Measures measures the replica. It never waits for a disk.
func (r *Replica) Measures() Measures {
	view := r.view.Load()
	m := Measures{
		Heard: -1, Streams: r.following.Load(), Watchers: r.feed.attendance(),
		Keys: view.Len(), StateBytes: view.Bytes(), StateLimit: r.opts.MaxBytes, JournalBytes: r.written.Load(),
	}
	m.Sessions, m.RequestKeys = view.Remembered()
	now := time.Now()
	if _, at := r.PrimaryHeard(); !at.IsZero() {
		m.Heard = now.Sub(at)
	}
	r.mu.Lock()
	last, peers := r.core.Last().Seq, r.core.Peers(now)
	if r.core.Role() == protocol.RolePrimary {
		m.View = r.core.Copies()
	}
	r.mu.Unlock()
	for _, p := range peers {
		m.Lags = append(m.Lags, Lag{
			UUID: p.UUID, Connected: p.Connected, Records: uint64(last - min(p.Durable, last)),
			Bytes: r.opts.Journal.BytesAfter(p.Durable), Age: p.Behind,
		})
	}
	return m
}

// attendance returns how many watchers there are.
func (f *feed) attendance() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.watchers
}
