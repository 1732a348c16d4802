package link

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"

	"understudy.example/pkg/frame"
)

const (
	maxWrite  = 256 << 10 // bytes handed to the kernel at once
	maxBodies = 256 << 10 // bytes of bodies in a batch, so that small frames need not wait long
)

// outbox gathers the frames that go out on a connection. One goroutine, run,
// takes all there is as a batch and writes it; what comes meanwhile is the next
// batch.
type outbox struct {
	net  net.Conn
	wake chan struct{} // capacity 1: there is something to write
	shut chan struct{} // closed by close
	over chan struct{} // closed when run has returned
	// steps is odd while the kernel takes bytes, and changes whenever it has
	// taken some.
	steps atomic.Uint64

	mu      sync.Mutex // guards the fields below
	pending []byte     // whole frames of the next batch
	turns   []*bulk    // bodies of which bytes may be sent, in turn
	taken   uint64     // batches taken to be written; the next is taken + 1
	reached int        // how far the kernel has taken the last of them, once it failed; -1: it did not
	idle    bool       // run waits for wake
	closing bool       // nothing is added any more
	dead    bool       // nothing is written any more
}

func newOutbox(c net.Conn) outbox {
	return outbox{net: c, reached: -1, wake: make(chan struct{}, 1), shut: make(chan struct{}), over: make(chan struct{})}
}

// receipt tells where a frame was put.
type receipt struct {
	batch  uint64 // 0: nowhere yet
	at, to int    // where in the batch it begins and ends
}

// message is whole frames and what follows them. The outbox's mutex guards it
// once it is posted.
type message struct {
	sent receipt // of the frames
	body *bulk   // nil: nothing follows
}

// add queues whole frames.
func (o *outbox) add(frames []byte) {
	var m message
	o.post(&m, frames)
}

// post queues a message. It reports false if nothing is sent any more.
func (o *outbox) post(m *message, frames []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing {
		return false
	}
	at := len(o.pending)
	o.pending = append(o.pending, frames...)
	m.sent = receipt{batch: o.taken + 1, at: at, to: len(o.pending)}
	if m.body != nil {
		o.queue(m.body)
	}
	o.stir()
	return true
}

// stir wakes run if it waits.
func (o *outbox) stir() {
	if o.idle && (len(o.pending) > 0 || len(o.turns) > 0 || o.closing) {
		o.idle = false
		o.wake <- struct{}{} // has room: run has emptied it before it was idle
	}
}

// retract takes a message back as far as it has not left: its frames become
// void, its body is dropped. It reports whether the peer was kept from
// receiving the whole message.
func (o *outbox) retract(m *message) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := !o.whole(m)
	if m.sent.batch > o.taken {
		frame.Retype(o.pending[m.sent.at:], frameVoid)
	}
	if m.body != nil {
		o.forget(m.body)
	}
	return kept
}

// gone reports whether the whole message may have left.
func (o *outbox) gone(m *message) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.whole(m)
}

func (o *outbox) whole(m *message) bool {
	return o.left(m.sent) && (m.body == nil || o.left(m.body.end))
}

// left tells whether the whole frame may have been handed to the kernel.
func (o *outbox) left(r receipt) bool {
	if r.batch == o.taken && o.reached >= 0 {
		return r.to <= o.reached
	}
	return r.batch != 0 && r.batch <= o.taken
}

// close ends the outbox. What is queued is written first if flush, else never.
func (o *outbox) close(flush bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closing {
		o.closing = true
		close(o.shut)
	}
	o.dead = o.dead || !flush
	for len(o.turns) > 0 {
		o.forget(o.turns[0])
	}
	o.stir()
}

// run writes until the outbox is closed or a write fails.
func (o *outbox) run() error {
	defer close(o.over)
	var batch []byte
	for {
		runtime.Gosched() // who is about to add something may do so: fewer writes, and no timer
		var more bool
		if batch, more = o.take(batch); !more {
			return nil
		}
		if len(batch) == 0 {
			<-o.wake
			continue
		}
		if err := o.write(batch); err != nil {
			return err
		}
	}
}

// write hands a batch to the kernel in pieces, so that the progress of a slow
// peer shows.
func (o *outbox) write(batch []byte) error {
	for at := 0; at < len(batch); {
		o.steps.Add(1)
		n, err := o.net.Write(batch[at:min(len(batch), at+maxWrite)])
		o.steps.Add(1)
		if at += n; err != nil {
			o.fail(at)
			return err
		}
	}
	return nil
}

// fail notes how far the kernel took the last batch.
func (o *outbox) fail(reached int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reached = reached
}

// take takes the next batch and leaves the buffer of the last one in its place.
// An empty batch means that there is nothing to write; no more, that there never
// will be.
func (o *outbox) take(last []byte) (batch []byte, more bool) {
	if cap(last) > keepBuffer {
		last = nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead {
		return nil, false
	}
	if len(o.pending) == 0 && len(o.turns) == 0 {
		o.idle = true
		return last[:0], !o.closing
	}
	batch, o.pending = o.pending, last[:0]
	o.taken++
	return o.takeBodies(batch), true
}
