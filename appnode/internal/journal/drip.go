package journal

import (
	"fmt"
	"sync/atomic"
	"time"

	"understudy.example/pkg/disk"
)

const (
	// dripBytes is how much of a snapshot file may wait for the disk: so much, and
	// no more, a sync of records comes to wait for.
	dripBytes = 1 << 20
	// dripEvery is the shortest time from piece to piece of a gentle file: 128 MiB
	// a second at most.
	dripEvery = 8 * time.Millisecond
	// dripRest bounds the pause after a piece.
	dripRest = 100 * time.Millisecond
)

// drip writes a long file to a disk that others wait for: piece by piece, each
// synced before the next begins. It is gentle where it then rests for as long as
// the piece took, though not beyond dripRest, and so leaves them half of the time
// of a disk that is not overloaded.
type drip struct {
	file  disk.File
	op    string
	hurry *atomic.Bool // nil: never gentle; else gentle until it is set
	waits int          // bytes that are not synced
	began time.Time    // the present piece
}

func (d *drip) Write(p []byte) (int, error) {
	if d.waits == 0 {
		d.began = time.Now()
	}
	n, err := d.file.Write(p)
	if d.waits += n; err != nil || d.waits < dripBytes {
		return n, err
	}
	d.waits = 0
	if err := d.file.Datasync(d.op); err != nil {
		return n, fmt.Errorf("sync a part: %w", err)
	}
	if d.hurry != nil && !d.hurry.Load() {
		time.Sleep(min(max(time.Since(d.began), dripEvery), dripRest))
	}
	return n, nil
}
