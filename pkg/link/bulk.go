package link

import (
	"slices"
	"time"

	"understudy.example/pkg/frame"
)

// bulk is a body on its way out, in parts. The outbox's mutex guards it.
type bulk struct {
	number  uint64
	part    frame.Type // of its parts
	last    frame.Type // of the one that ends it
	data    []byte     // not yet sent
	final   bool       // the body ends with data
	credit  int        // bytes of it that may be sent
	queued  bool       // in turns
	dropped bool       // nothing of it is sent any more
	end     receipt    // of its last part
	// taken, of capacity 1, tells that data has been sent or will not be; nil:
	// nobody waits for that.
	taken chan struct{}
}

// send hands the bytes over as the next of the body, and waits until the outbox
// is done with them. It reports false if the body was dropped, as it is when its
// reader asks for nothing for readerWait. final tells that the body ends with
// them.
func (o *outbox) send(b *bulk, data []byte, final bool) bool {
	o.mu.Lock()
	if b.dropped || o.closing {
		o.mu.Unlock()
		return false
	}
	select {
	case <-b.taken: // told as the wait before this one ended for another reason
	default:
	}
	b.data, b.final = data, final
	o.queue(b)
	o.stir()
	o.mu.Unlock()
	late := time.NewTimer(readerWait)
	defer late.Stop()
	select {
	case <-b.taken:
	case <-o.shut:
	case <-late.C:
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(b.data) > 0 {
		o.forget(b)
	}
	return b.end.batch != 0 || !b.dropped // what has its last part cannot be dropped
}

// grant lets more bytes of the body be sent.
func (o *outbox) grant(b *bulk, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b.credit += bytes
	o.queue(b)
	o.stir()
}

// drop ends a body unsent.
func (o *outbox) drop(b *bulk) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(b)
}

func (o *outbox) forget(b *bulk) {
	b.dropped = true
	b.data = nil
	if b.queued {
		b.queued = false
		o.turns = slices.DeleteFunc(o.turns, func(t *bulk) bool { return t == b })
	}
	b.tell()
}

// tell wakes who waits for the body's data to be taken.
func (b *bulk) tell() {
	select {
	case b.taken <- struct{}{}:
	default: // nobody waits, or it has been told
	}
}

// queue gives the body a turn if there is something of it to send.
func (o *outbox) queue(b *bulk) {
	if !b.queued && !b.dropped && o.sendable(b) {
		b.queued = true
		o.turns = append(o.turns, b)
	}
}

func (o *outbox) sendable(b *bulk) bool {
	return b.credit > 0 && len(b.data) > 0 || b.final && len(b.data) == 0 && b.end.batch == 0
}

// takeBodies appends parts of the bodies whose turn it is.
func (o *outbox) takeBodies(batch []byte) []byte {
	limit := len(batch) + maxBodies
	for len(o.turns) > 0 && len(batch) < limit {
		b := o.turns[0]
		o.turns = slices.Delete(o.turns, 0, 1)
		b.queued = false
		n := min(len(b.data), b.credit, maxPart)
		t := b.part
		if ends := b.final && n == len(b.data); ends {
			t = b.last
			b.end = receipt{batch: o.taken, at: len(batch), to: len(batch) + partHeader + n}
		}
		batch = appendPart(batch, t, b.number, b.data[:n])
		b.data = b.data[n:]
		b.credit -= n
		if len(b.data) == 0 {
			b.tell()
		}
		o.queue(b)
	}
	return batch
}
