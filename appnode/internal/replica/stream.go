package replica

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"understudy.example/pkg/frame"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// Bounds of a stream's waits.
const (
	helloTimeout = 2 * time.Second
	// silence is how long either side of a stream stays quiet at most; confirms
	// come ten times a second.
	silence = 2 * time.Second
	// sendTimeout bounds one write to a standby. It is longer than the time
	// after which an in-sync standby is removed.
	sendTimeout = 2 * time.Second
)

// peerConn is the primary's end of one standby's stream.
type peerConn struct {
	id    protocol.ConnID
	epoch protocol.Epoch
	uuid  protocol.UUID
	via   protocol.UUID // the standby that the stream passes through; empty: none
	conn  net.Conn
	wake  chan struct{} // capacity 1: there is something to send
	done  chan struct{} // closed with the connection
	once  sync.Once

	// Guarded by Replica.mu.
	next      protocol.Seq // the next record to send
	acked     protocol.Seq // durable at the standby
	committed protocol.Seq // passed on
	confirm   uint64       // newest number sent
	sent      []sentRun    // not acknowledged
	inFlight  int64        // bytes of them
	early     uint64       // its question that came before this primary served; 0: none
	told      []byte       // answers to its questions, to be sent
	refusal   []byte       // the last frame to send, then close
	snapshot  bool         // the standby was sent away to fetch one
}

// sentRun is a run of records on its way to a standby.
type sentRun struct {
	last  protocol.Seq
	bytes int64
	at    time.Time
}

func (c *peerConn) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *peerConn) close() {
	c.once.Do(func() {
		close(c.done)
		_ = c.conn.Close() // it is given up either way
	})
}

// deposed has the stream end with a last word: there is a newer record. mu is
// held.
func (c *peerConn) deposed(rec protocol.GroupRecord) {
	c.refusal = encodeJSON(frameRefuse, rec.Epoch, refuseMessage{
		V: wire.Format, Code: problem.NotPrimary, Detail: "this node is not the primary any more", Record: &rec,
	})
	c.notify()
}

func (r *Replica) dropConn(id protocol.ConnID) {
	r.mu.Lock()
	c := r.conns[id]
	delete(r.conns, id)
	r.mu.Unlock()
	if c != nil {
		c.close()
	}
}

// ServeStream answers a standby's request for the stream, as the primary or, in a
// chain, as a standby on the way to it.
func (r *Replica) ServeStream(w http.ResponseWriter, req *http.Request) {
	if req.URL.Query().Has(paramPrimary) {
		r.relayStream(w, req)
		return
	}
	conn, in, err := frame.Accept(w, req, StreamProtocol)
	if err != nil {
		r.log.Warn().Err(err).Msg("stream not opened")
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(helloTimeout)) // a dead connection shows at the read
	h, payload, err := frame.Read(in, nil)
	if err != nil {
		return
	}
	hello, err := r.parseHello(h, payload)
	if err != nil {
		r.log.Warn().Err(err).Str("standby", hello.Name).Msg("standby refused")
		_, _ = conn.Write(encodeJSON(frameRefuse, 0, refuseMessage{V: wire.Format, Code: problem.CodeOf(err), Detail: err.Error()}))
		return
	}
	if hello.Record != nil {
		r.Assign(*hello.Record)
	}
	c, answer := r.welcome(conn, h.Epoch, hello)
	if _, err := conn.Write(answer); err != nil || c == nil {
		if c != nil {
			r.forget(c)
		}
		return
	}
	r.log.Info().Str("standby", hello.Name).Uint64("from", uint64(c.next)).Msg("standby connected")
	var sender sync.WaitGroup
	sender.Go(func() { r.send(c) })
	err = r.receive(c, in)
	c.close()
	sender.Wait()
	r.forget(c)
	r.log.Info().Err(err).Str("standby", hello.Name).Msg("standby disconnected")
}

// welcome asks the core about a standby and returns its connection, nil if it
// was refused, with the answer to send.
func (r *Replica) welcome(conn net.Conn, epoch protocol.Epoch, m helloMessage) (*peerConn, []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connID++
	id := r.connID
	rec := r.core.GroupRecord()
	answer := protocol.HelloAnswer{Refused: protocol.RefuseNotPrimary}
	if !r.closed {
		answer = r.core.Hello(id, protocol.Hello{
			UUID: m.UUID, Boot: m.Boot, Epoch: epoch, Last: m.Last, Boundaries: m.Boundaries,
		}, time.Now())
	}
	if answer.Refused != "" {
		text := fmt.Sprintf("%s accepted epoch %d and %s is in epoch %d as %s", m.Name, epoch, r.opts.Name, r.core.Accepted(), r.core.State())
		return nil, encodeJSON(frameRefuse, r.core.Accepted(), refuseMessage{
			V: wire.Format, Code: problem.Code(answer.Refused), Detail: text, Record: &rec,
		})
	}
	c := &peerConn{
		id: id, epoch: answer.Epoch, uuid: m.UUID, via: m.Via, conn: conn,
		wake: make(chan struct{}, 1), done: make(chan struct{}), next: answer.Part + 1, acked: answer.Part,
	}
	c.snapshot = r.needsSnapshot(answer.Part)
	r.conns[id] = c
	c.notify() // the commit seq, and the confirm in flight
	r.kick()
	return c, encodeJSON(frameWelcome, answer.Epoch, welcomeMessage{V: wire.Format, Part: answer.Part, Snapshot: c.snapshot})
}

// needsSnapshot tells whether the journal does not lead on from part: it begins later,
// or the disk cannot read it from there, and a snapshot would be ahead of that. mu is
// held.
func (r *Replica) needsSnapshot(part protocol.Seq) bool {
	return part+1 < r.opts.Journal.First() || part < r.unread && part < r.applied.Position().Seq
}

func (r *Replica) forget(c *peerConn) {
	c.close()
	r.mu.Lock()
	delete(r.conns, c.id)
	before := r.core.Commit()
	r.core.PeerGone(c.id, time.Now())
	r.notifyBehind(c)
	r.afterProgress(before)
	r.mu.Unlock()
}

// receive takes a standby's acknowledgements until the connection ends.
func (r *Replica) receive(c *peerConn, in *bufio.Reader) error {
	buf := make([]byte, 0, 4096)
	for {
		if err := c.conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		h, payload, err := frame.Read(in, buf)
		if err != nil {
			return err
		}
		switch h.Type {
		case frameTrouble:
			r.trouble(c, h.Epoch, string(payload))
			continue
		case frameRefuse:
			return r.refused(h, payload)
		}
		n, err := frame.Number(payload)
		if err != nil {
			return err
		}
		switch h.Type {
		case frameAck:
			err = r.acked(c, h.Epoch, protocol.Seq(n))
		case frameConfirmed:
			r.mu.Lock()
			r.core.Confirmed(c.id, h.Epoch, n, time.Now())
			r.checkRound()
			r.mu.Unlock()
		case frameAsk:
			r.takeQuestion(c, h.Epoch, n)
		default:
			err = fmt.Errorf("a standby sent a frame of type %d", h.Type)
		}
		if err != nil {
			return err
		}
	}
}

func (r *Replica) trouble(c *peerConn, epoch protocol.Epoch, text string) {
	r.log.Warn().Str("standby", r.opts.NameOf(c.uuid)).Str("trouble", text).Msg("standby cannot hold records")
	r.mu.Lock()
	before := r.core.Commit()
	r.core.Trouble(c.id, epoch, text, time.Now())
	r.afterProgress(before)
	r.mu.Unlock()
}

func (r *Replica) acked(c *peerConn, epoch protocol.Epoch, seq protocol.Seq) error {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq >= c.next {
		return fmt.Errorf("standby acknowledged %d, and %d is the next to be sent", seq, c.next)
	}
	c.acked = max(c.acked, seq)
	for len(c.sent) > 0 && c.sent[0].last <= seq {
		c.inFlight -= c.sent[0].bytes
		c.sent = c.sent[1:]
	}
	if r.lead == nil || r.lead.epoch != c.epoch {
		return nil
	}
	before := r.core.Commit()
	behind := r.lead.recent.behind(seq, r.core.Last().Seq, r.opts.Config.EnterBytes+1)
	r.core.Acked(c.id, epoch, seq, behind, now)
	r.afterProgress(before)
	c.notify() // the window may have opened
	return nil
}
