package replica

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"understudy.example/appnode/internal/journal"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/frame"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// dialTimeout bounds a standby's way to the primary, up to the welcome.
const dialTimeout = time.Second

// redialPauses is how long a standby waits before it dials again; the last one
// is repeated.
var redialPauses = []time.Duration{0, 5, 10, 20, 40, 50}

const redialUnit = time.Millisecond

func (r *Replica) beginFollow(ctx context.Context, primary protocol.UUID) {
	r.mu.Lock()
	epoch := r.core.Accepted()
	r.mu.Unlock()
	r.log.Info().Str("primary", r.opts.NameOf(primary)).Uint64("epoch", uint64(epoch)).Msg("following the primary")
	r.heard.Store(0) // what was heard was another primary
	r.startRole(ctx, func(ctx context.Context) { r.follow(ctx, primary) })
}

// steadyAfter is how long a stream must last for its end to be news: one that
// ends sooner, again and again, is dialled with growing pauses.
const steadyAfter = time.Second

// roomCheck is how often a standby with a full disk looks for room.
const roomCheck = time.Second

// refillPause is how long a standby waits before it fetches another snapshot after
// one that could not be installed, and refillPatience what that doubles to: where
// there is no room for it, the primary must not send it without end.
const (
	refillPause    = 100 * time.Millisecond
	refillPatience = 30 * time.Second
)

// follow keeps the one incoming stream of a standby alive.
func (r *Replica) follow(ctx context.Context, primary protocol.UUID) {
	r.mu.Lock()
	said, m := "", newMover(primary, r.core.Accepted())
	refill := refillPause
	r.mu.Unlock()
	defer m.drop()
	defer r.uncut.Store(false)
	for attempt := 0; ctx.Err() == nil; attempt++ {
		lasted, err := r.followOnce(ctx, primary, m)
		if errors.Is(err, errMoved) {
			attempt, said = -1, ""
			continue
		}
		if errors.Is(err, protocol.ErrHistoryLost) {
			r.die(err) // the node begins anew, with what it has set aside
			return
		}
		if lasted >= steadyAfter {
			attempt, said, refill = 0, "", refillPause
		}
		if text := fmt.Sprint(err); ctx.Err() == nil && text != said {
			said = text // the same trouble is told once, not twenty times a second
			r.log.Warn().Err(err).Str("primary", r.opts.NameOf(primary)).Msg("stream from the primary ended")
		}
		if errors.Is(err, errNotFilled) {
			pause(ctx, refill)
			refill = min(2*refill, refillPatience)
		}
		pause(ctx, redialPauses[min(attempt, len(redialPauses)-1)]*redialUnit)
		if r.uncut.Load() {
			pause(ctx, roomCheck) // the next try shows whether there is room
			continue
		}
		for r.full.Load() && ctx.Err() == nil && r.reserve(maxBatch) != nil {
			// Without room a stream would bring only what cannot be kept.
			pause(ctx, roomCheck)
		}
	}
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// followOnce dials, shakes hands and takes records until the connection ends. It
// tells how long the stream lasted.
func (r *Replica) followOnce(ctx context.Context, primary protocol.UUID, m *mover) (lasted time.Duration, err error) {
	l := m.take()
	if l == nil {
		if l, err = r.dialLine(ctx, route{primary: primary}); err != nil {
			return 0, err
		}
	}
	defer func() {
		if errors.Is(err, errMoved) {
			m.old = l.conn
			return
		}
		_ = l.conn.Close()
	}()
	defer context.AfterFunc(ctx, func() { _ = l.conn.Close() })()
	defer func() { m.ended(l.route, lasted, err) }()

	id, welcome, err := r.handshake(l)
	m.leave()
	if err != nil {
		return 0, err
	}
	// What the primary does not have is set aside also where a snapshot is to
	// replace everything.
	if err := r.cut(welcome.Part); err != nil {
		return 0, err
	}
	if welcome.Snapshot {
		_ = l.conn.Close() // the primary ends its side, too
		return 0, r.fetchSnapshot(ctx, primary, welcome)
	}
	began := time.Now()
	err = r.takeStream(ctx, l, id, m)
	return time.Since(began), err
}

// handshake says hello on a new connection. From its beginning nothing of an
// earlier connection has an effect, and its answer has none once a newer
// connection or a newer epoch has begun.
func (r *Replica) handshake(l *line) (protocol.ConnID, welcomeMessage, error) {
	var w welcomeMessage
	r.mu.Lock()
	r.connID++
	id := r.connID
	hello, err := r.core.Dialled(id)
	rec, accepted := r.core.GroupRecord(), r.core.Accepted()
	r.mu.Unlock()
	if err != nil {
		return 0, w, err
	}
	_ = l.conn.SetDeadline(time.Now().Add(l.route.silence())) // a dead connection shows at the write
	if _, err := l.conn.Write(encodeJSON(frameHello, accepted, helloMessage{
		V: wire.Format, Cluster: r.opts.Cluster(), Group: r.opts.Group, UUID: hello.UUID, Boot: hello.Boot,
		Name: r.opts.Name, Last: hello.Last, Boundaries: hello.Boundaries, Record: &rec, Via: l.route.via,
	})); err != nil {
		return 0, w, err
	}
	h, payload, err := frame.Read(l.in, nil)
	if err != nil {
		return 0, w, fmt.Errorf("wait for the primary's welcome: %w", err)
	}
	if h.Type != frameWelcome {
		return 0, w, r.refused(h, payload)
	}
	if err := json.Unmarshal(payload, &w); err != nil {
		return 0, w, fmt.Errorf("the primary's welcome is not valid: %w", err)
	}
	if err := wire.CheckFormat(w.V); err != nil {
		return 0, w, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return id, w, r.core.Welcomed(id, h.Epoch, w.Part)
}

// refused takes the primary's last word, and the record that comes with it.
func (r *Replica) refused(h frame.Header, payload []byte) error {
	var m refuseMessage
	if h.Type != frameRefuse || json.Unmarshal(payload, &m) != nil {
		return fmt.Errorf("the primary sent a frame of type %d where its welcome belongs", h.Type)
	}
	if m.Record != nil {
		r.Assign(*m.Record)
	}
	return &problem.Error{Code: m.Code, Detail: m.Detail}
}

// cut sets aside and cuts what the primary does not have. It runs between
// handshake and the first acknowledgement, when no other goroutine writes.
func (r *Replica) cut(part protocol.Seq) error {
	r.mu.Lock()
	last := r.core.Last()
	r.mu.Unlock()
	if part >= last.Seq {
		r.uncut.Store(false)
		return nil
	}
	aside, err := r.opts.Journal.Cut(part)
	full := disk.IsFull(err) && r.opts.Journal.Err() == nil
	r.uncut.Store(full)
	if full {
		r.fillUp(err)
		return err
	}
	if err != nil {
		err = fmt.Errorf("cut the journal after %d: %w", part, err)
		r.die(err)
		return err
	}
	r.mu.Lock()
	r.core.CutTo(part)
	err = r.pending.cut(part)
	r.mu.Unlock()
	if err != nil {
		r.die(err)
		return err
	}
	r.log.Warn().Int("records", aside.Records).Str("file", aside.File).Stringer("end", last).Uint64("kept_to", uint64(part)).
		Msg("records that the primary does not have were set aside")
	return nil
}

// incoming is what a stream's reader hands to its syncer. Its mutex guards
// nothing of the replica: it is the reader's and the syncer's own.
type incoming struct {
	conn   net.Conn
	route  route
	id     protocol.ConnID
	data   *inbox        // received records, in order
	write  chan struct{} // capacity 1: held while the connection is written to
	epoch  protocol.Epoch
	asks   chan struct{} // a question is to be sent; capacity 1
	relay  *relay        // what standbys behind this one take from the stream
	turned atomic.Bool   // nothing more is read: another stream takes its place
}

// turn ends the reading, and leaves the connection open: to the primary, a standby
// whose connection closed before the next one was there would be gone.
func (s *incoming) turn() {
	s.turned.Store(true)
	_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // a dead connection ends the reading as well
}

// takeStream runs a stream's goroutines: the reader, which answers confirms at
// once, the syncer, which writes, syncs and acknowledges, and the asker, which
// sends the questions of reads.
func (r *Replica) takeStream(ctx context.Context, l *line, id protocol.ConnID, m *mover) error {
	conn := l.conn
	_ = conn.SetDeadline(time.Time{}) // a dead connection shows at the next read
	r.mu.Lock()
	s := &incoming{
		conn: conn, route: l.route, id: id, data: newInbox(), write: make(chan struct{}, 1), epoch: r.core.Accepted(),
		asks: make(chan struct{}, 1), relay: m.relay,
	}
	durable := r.core.Durable()
	r.mu.Unlock()
	r.log.Info().Uint64("from", uint64(durable)).Str("upstream", r.opts.NameOf(l.route.upstream())).Msg("stream from the primary begun")
	if err := s.send(frameAck, uint64(durable)); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		err := r.sync(s)
		if err != nil {
			_ = conn.Close() // ends the reader
		}
		ended <- err
	}()
	asker := make(chan struct{})
	go func() {
		defer close(asker)
		r.ask(s)
	}()
	stay := r.watchRoute(ctx, s, m)
	r.beginAsking(s)
	err := r.read(s, l.in)
	r.endAsking(s)
	close(s.asks)
	<-asker
	s.data.close()
	err = errors.Join(<-ended, err)
	if moved := stay(); moved {
		return errMoved
	}
	return err
}

func (s *incoming) send(t frame.Type, n uint64) error {
	return s.sendFrame(frame.AppendNumber(make([]byte, 0, frame.HeaderSize+8), t, s.epoch, n))
}

// leaveTimeout bounds the last word to a primary. It only saves it time.
const leaveTimeout = 20 * time.Millisecond

// leave tells the primary why this standby goes: a newer record. One that is cut
// off from the monitors learns of its fate so.
func (s *incoming) leave(rec protocol.GroupRecord) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(leaveTimeout)) // a dead connection shows at the write
	_, _ = s.conn.Write(encodeJSON(frameRefuse, rec.Epoch, refuseMessage{
		V: wire.Format, Code: problem.Fenced, Detail: "this standby has taken a newer record", Record: &rec,
	}))
}

func (s *incoming) sendFrame(b []byte) error {
	s.write <- struct{}{}
	defer func() { <-s.write }()
	if err := s.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(b)
	return err
}

// read takes frames until the connection ends. It never waits for the disk.
func (r *Replica) read(s *incoming, in *bufio.Reader) error {
	var small [16]byte
	for {
		if err := s.conn.SetReadDeadline(time.Now().Add(s.route.silence())); err != nil {
			return err
		}
		if s.turned.Load() { // in this order: its deadline is not put off unseen
			return errMoved
		}
		h, payload, err := frame.Read(in, small[:0])
		if err != nil {
			return err
		}
		r.heard.Store(int64(time.Since(r.began)))
		// What a confirm or a record may do is decided by the epoch that is
		// accepted now, after it was read.
		r.mu.Lock()
		err = r.core.Accepts(s.id, h.Epoch)
		r.mu.Unlock()
		if h.Type == frameRefuse {
			return r.refused(h, payload)
		}
		if err != nil {
			return err
		}
		if err := r.takeFrame(s, h, payload); err != nil {
			return err
		}
	}
}

func (r *Replica) takeFrame(s *incoming, h frame.Header, payload []byte) error {
	switch h.Type {
	case frameTold:
		return r.takeAnswer(s, payload)
	case frameRecords:
		if r.chained.Load() || s.relay.used() {
			if err := s.relay.add(payload); err != nil {
				return err
			}
		}
		return s.data.put(payload)
	}
	n, err := frame.Number(payload)
	if err != nil {
		return err
	}
	switch h.Type {
	case frameCommit:
		return r.learnCommit(s, h.Epoch, protocol.Seq(n))
	case frameConfirm:
		return s.send(frameConfirmed, n)
	}
	return fmt.Errorf("the primary sent a frame of type %d", h.Type)
}

func (r *Replica) learnCommit(s *incoming, epoch protocol.Epoch, commit protocol.Seq) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.core.LearnCommit(s.id, epoch, commit); err != nil {
		return err
	}
	r.publish()
	return nil
}

// sync writes what the reader received, syncs it, acknowledges it and applies
// what is committed: all that has arrived while the last sync ran, together.
func (r *Replica) sync(s *incoming) error {
	for {
		buf := s.data.take(journal.MarkSize)
		if buf == nil {
			return nil
		}
		if err := r.syncBatch(s, buf); err != nil {
			return err
		}
	}
}

// syncBatch makes received records durable and acknowledges them. buf has the
// journal's headroom before them.
func (r *Replica) syncBatch(s *incoming, buf []byte) error {
	data := buf[journal.MarkSize:]
	run, err := r.checkRun(s.epoch, data)
	if err != nil {
		return err
	}
	if err := r.reserve(len(data)); err != nil {
		return errors.Join(err, s.sendFrame(frame.Append(nil, frameTrouble, s.epoch, []byte(problem.DiskFull))))
	}
	now := time.Now()
	r.mu.Lock()
	// The epoch is looked at again: a higher one may have been accepted while
	// the records waited.
	if err := r.core.Accepts(s.id, s.epoch); err != nil {
		r.mu.Unlock()
		return err
	}
	for _, p := range run.ends {
		r.core.AppendedTo(p, now)
	}
	r.mu.Unlock()
	if err := r.opts.Journal.Write(buf); err != nil {
		err = fmt.Errorf("write the journal: %w", err)
		// Told before the end of the replica closes the connection: the primary
		// need not wait for this one to return.
		told := s.sendFrame(frame.Append(nil, frameTrouble, s.epoch, []byte("its disk has failed")))
		r.die(err)
		return errors.Join(err, told)
	}
	r.written.Add(int64(len(data)))
	r.mu.Lock()
	r.core.Synced(run.last, time.Now())
	r.pending.add(data, run.first, run.last)
	err = r.core.LearnCommit(s.id, s.epoch, run.commit)
	r.publish()
	r.mu.Unlock()
	if err != nil {
		return err
	}
	return s.send(frameAck, uint64(run.last))
}
