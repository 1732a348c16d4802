package replica

import (
	"fmt"
	"sync"
)

// inbox is the records that a stream's reader has received and its syncer has
// not taken yet. The primary's window bounds it.
type inbox struct {
	filled chan struct{} // capacity 1

	mu     sync.Mutex // guards the fields below
	chunks [][]byte
	bytes  int
	closed bool
}

func newInbox() *inbox { return &inbox{filled: make(chan struct{}, 1)} }

// put adds received records. It never waits. A primary that sends twice its
// window without an acknowledgement does not keep to the protocol.
func (i *inbox) put(records []byte) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.bytes += len(records); i.bytes > 2*windowBytes {
		return fmt.Errorf("the primary sent %d bytes that were not acknowledged: at most %d are allowed", i.bytes, 2*windowBytes)
	}
	i.chunks = append(i.chunks, records)
	i.signal()
	return nil
}

func (i *inbox) signal() {
	select {
	case i.filled <- struct{}{}:
	default:
	}
}

// close ends the inbox: what has not been taken is dropped.
func (i *inbox) close() {
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.signal()
}

// take waits for records and returns all that are there, up to about maxBatch,
// behind headroom bytes of room. It returns nil once the inbox is closed.
func (i *inbox) take(headroom int) []byte {
	for {
		i.mu.Lock()
		if i.closed {
			i.mu.Unlock()
			return nil
		}
		if len(i.chunks) > 0 {
			buf := i.join(headroom)
			i.mu.Unlock()
			return buf
		}
		i.mu.Unlock()
		<-i.filled
	}
}

// join takes the first chunks out. mu is held.
func (i *inbox) join(headroom int) []byte {
	n, size := 0, headroom
	for n < len(i.chunks) && (n == 0 || size+len(i.chunks[n]) <= maxBatch) {
		size += len(i.chunks[n])
		n++
	}
	buf := make([]byte, headroom, size)
	for _, c := range i.chunks[:n] {
		buf = append(buf, c...)
	}
	i.chunks = i.chunks[n:]
	if len(i.chunks) == 0 {
		i.chunks = nil
	}
	i.bytes -= size - headroom
	return buf
}
