package journal

import (
	"fmt"
	"slices"

	"understudy.example/pkg/protocol"
)

// Trim removes the oldest segments that hold nothing but records below keep and
// up to the snapshot's position. Files go as a whole or not at all, and the one
// that is written to stays. After an error the journal goes on; what could not
// be removed is removed at the next opening. Writes do not wait for the removal.
func (j *Journal) Trim(keep protocol.Seq) error {
	j.snapshots <- struct{}{}
	defer func() { <-j.snapshots }()
	old, err := j.forgetBelow(keep)
	if err != nil || len(old) == 0 {
		return err
	}
	j.o.Log.Debug().Int("segments", len(old)).Uint64("first", uint64(j.First())).Msg("journal trimmed")
	if err := j.o.discard("journal trim", old); err != nil {
		return fmt.Errorf("trim below record %d: %w", keep, err)
	}
	return nil
}

// forgetBelow takes the segments that Trim is to remove out of the journal.
func (j *Journal) forgetBelow(keep protocol.Seq) ([]*segment, error) {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	if err := j.Err(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	keep = min(keep, j.snapshot.Seq+1)
	n := 0
	for n < len(j.segments)-1 && j.segments[n].last < keep {
		n++ // one without records, its last 0, goes with those around it
	}
	old := j.segments[:n]
	j.segments = slices.Clone(j.segments[n:])
	if n > 0 {
		j.shape++
	}
	return old, nil
}
