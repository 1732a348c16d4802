package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"understudy.example/appnode/internal/journal"
	"understudy.example/pkg/frame"
	"understudy.example/pkg/protocol"
)

// sendBytes bounds the records of one frame that are taken from memory.
const sendBytes = 1 << 20

// outgoing is what one turn of a sender puts on the wire.
type outgoing struct {
	records net.Buffers // chunks from memory
	bytes   int
	from    protocol.Seq // where the journal is to be read; 0: not
	take    []byte       // a frame that leaves records to the relay
	numbers []byte       // small frames that follow the records
	last    bool         // close afterwards
	nothing bool
}

// send feeds one standby: from memory near the tail, from the journal further
// back. A full window or an empty tail waits for a notice.
func (r *Replica) send(c *peerConn) {
	defer c.close()
	var buf []byte
	for {
		out := r.gather(c)
		if out.nothing {
			select {
			case <-c.done:
				return
			case <-c.wake:
				// Whoever is about to write or to read goes first: one frame then
				// serves them all. Where nobody is, this takes no time.
				runtime.Gosched()
			}
			continue
		}
		if out.from > 0 {
			var err error
			if buf, err = r.readBack(c, out.from, buf); err != nil {
				r.log.Warn().Err(err).Str("standby", r.opts.NameOf(c.uuid)).Msg("stream cannot go on from the journal")
				return
			}
			out.records, out.bytes = net.Buffers{buf}, len(buf)
		}
		n, err := c.write(out)
		r.opts.Metrics.streamed.Add(float64(n))
		if err != nil || out.last {
			return
		}
	}
}

// gather decides what is to be sent next, and counts it as sent.
func (r *Replica) gather(c *peerConn) outgoing {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.refusal != nil {
		return outgoing{numbers: c.refusal, last: true}
	}
	l := r.lead
	if l == nil || l.epoch != c.epoch || c.snapshot {
		return outgoing{nothing: true}
	}
	var out outgoing
	if c.next <= r.core.Last().Seq && c.inFlight < windowBytes {
		chunks := l.recent.from(c.next)
		switch relay := r.relayOf(c); {
		case chunks == nil:
			out.from = c.next
		case relay != nil:
			c.leaveTo(relay, chunks, &out)
		default:
			c.takeRecent(chunks, &out)
		}
		if out.bytes > 0 || out.take != nil {
			r.notifyBehind(c)
		}
	}
	if commit := r.core.Commit(); commit > c.committed {
		c.committed = commit
		out.numbers = frame.AppendNumber(out.numbers, frameCommit, c.epoch, uint64(commit))
	}
	if n := r.core.ConfirmNumber(); n > c.confirm {
		c.confirm = n
		out.numbers = frame.AppendNumber(out.numbers, frameConfirm, c.epoch, n)
	}
	out.numbers = append(out.numbers, c.told...)
	c.told = c.told[:0]
	out.nothing = out.bytes == 0 && out.from == 0 && out.take == nil && out.numbers == nil
	return out
}

// takeRecent takes chunks from memory, up to sendBytes.
func (c *peerConn) takeRecent(chunks []chunk, out *outgoing) {
	for _, ch := range chunks {
		if out.bytes > 0 && out.bytes+len(ch.data) > sendBytes {
			return
		}
		out.records = append(out.records, ch.data)
		out.bytes += len(ch.data)
		c.count(ch.last, len(ch.data))
	}
}

// count notes that records up to last are on their way. Replica.mu is held.
func (c *peerConn) count(last protocol.Seq, bytes int) {
	c.next = last + 1
	c.inFlight += int64(bytes)
	c.sent = append(c.sent, sentRun{last, int64(bytes), time.Now()})
}

// readBack reads records for a standby that memory does not reach back to.
func (r *Replica) readBack(c *peerConn, from protocol.Seq, buf []byte) ([]byte, error) {
	buf, last, err := r.opts.Journal.Read(from, buf[:0], sendBytes)
	if err != nil {
		if !errors.Is(err, journal.ErrTrimmed) {
			r.mu.Lock()
			r.unread = max(r.unread, from)
			r.mu.Unlock()
		}
		return buf, fmt.Errorf("%w: it needs a snapshot now", err)
	}
	r.mu.Lock()
	c.count(last, len(buf))
	r.notifyBehind(c)
	r.mu.Unlock()
	return buf, nil
}

// write puts everything on the wire with one system call where it can.
func (c *peerConn) write(out outgoing) (int64, error) {
	if err := c.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return 0, err
	}
	var bufs net.Buffers
	if out.take != nil {
		bufs = append(bufs, out.take)
	}
	if out.bytes > 0 {
		head := frame.AppendHeader(make([]byte, 0, frame.HeaderSize), frameRecords, c.epoch, out.bytes)
		bufs = append(bufs, head)
		bufs = append(bufs, out.records...)
	}
	if out.numbers != nil {
		bufs = append(bufs, out.numbers)
	}
	return bufs.WriteTo(c.conn)
}

// relayOf returns the stream of the standby that is to fill in the records for c;
// nil if they must be sent: it has no stream itself, or lags by a whole window. Replica.mu is held.
func (r *Replica) relayOf(c *peerConn) *peerConn {
	if c.via == "" {
		return nil
	}
	for _, relay := range r.conns {
		if relay.uuid == c.via && relay.epoch == c.epoch && !relay.snapshot && relay.inFlight < windowBytes {
			return relay
		}
	}
	return nil
}

// leaveTo leaves to the relay what it has been sent of the chunks. Its sender
// wakes c's when there is more.
func (c *peerConn) leaveTo(relay *peerConn, chunks []chunk, out *outgoing) {
	first, size := c.next, 0
	for _, ch := range chunks {
		if ch.last >= relay.next || size > 0 && size+len(ch.data) > sendBytes {
			break
		}
		size += len(ch.data)
		c.count(ch.last, len(ch.data))
	}
	if size == 0 {
		return
	}
	out.take = frame.AppendHeader(make([]byte, 0, frame.HeaderSize+16), frameTake, c.epoch, 16)
	out.take = binary.LittleEndian.AppendUint64(out.take, uint64(first))
	out.take = binary.LittleEndian.AppendUint64(out.take, uint64(c.next-1))
}

// dropStranded ends the streams that are late together with the relay that they
// depend on: whatever else they are sent would pass through it as well, so they are
// to come to the primary while they still count. Replica.mu is held.
func (r *Replica) dropStranded(now time.Time) {
	late := func(c *peerConn) bool { return len(c.sent) > 0 && now.Sub(c.sent[0].at) >= relayWait }
	for _, c := range r.conns {
		if relay := r.relayOf(c); relay == nil || !late(relay) {
			continue
		}
		if waits := len(c.sent) == 0 && c.next <= r.core.Last().Seq; waits || late(c) {
			c.close()
		}
	}
}

// notifyBehind wakes the streams whose records c's standby fills in: it has been
// sent more, or has gone. Replica.mu is held.
func (r *Replica) notifyBehind(c *peerConn) {
	for _, behind := range r.conns {
		if behind.via == c.uuid {
			behind.notify()
		}
	}
}
