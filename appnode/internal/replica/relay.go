package replica

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/frame"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// maxHops bounds how many standbys a stream passes through before the one that
// is asked: whoever would be further down the chain stays at the primary. Rings
// cannot come to be, whatever the records, for each upstream's uuid is below.
const maxHops = 8

// relay is the newest records that this standby was sent by one primary in one
// epoch, for the standbys behind it in a chain. They are kept before they are
// checked or durable here: whoever takes them checks, keeps and acknowledges them
// itself, and what one primary sends in one epoch at one seq is one and the same.
type relay struct {
	primary protocol.UUID
	epoch   protocol.Epoch
	ended   chan struct{} // closed at the end of the role: what follows is of another epoch

	mu      sync.Mutex // guards the fields below
	recent  recent
	end     protocol.Seq  // of the newest
	grown   chan struct{} // closed and replaced when there is more
	tunnels int           // that take from it
}

func newRelay(primary protocol.UUID, epoch protocol.Epoch) *relay {
	return &relay{primary: primary, epoch: epoch, ended: make(chan struct{}), grown: make(chan struct{})}
}

// add keeps received records, which must stay as they are. On a new stream some
// may come again.
func (q *relay) add(data []byte) error {
	first, last, err := record.Span(data)
	if err == nil && first == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("the primary sent no records: %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	c := chunk{first, last, data}
	switch {
	case last <= q.end:
		return nil
	case first <= q.end:
		if c, err = c.after(q.end); err != nil {
			return err
		}
	}
	q.recent.add(c)
	q.end = last
	close(q.grown)
	q.grown = make(chan struct{})
	return nil
}

// enter counts a tunnel that takes records from the relay, until it calls leave.
func (q *relay) enter() (leave func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tunnels++
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.tunnels--
	}
}

// used tells whether anybody takes records from the relay. They wait for them also
// when the setting has changed and they have not heard of it yet.
func (q *relay) used() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tunnels > 0
}

// errNotKept tells that a relay does not have the records any more, or never
// had.
var errNotKept = errors.New("this standby does not keep these records for others")

// take returns the records from first to last, and nothing but a channel where
// they have not all arrived yet.
func (q *relay) take(first, last protocol.Seq) (out []chunk, grown <-chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if last > q.end {
		return nil, q.grown, nil
	}
	for first <= last {
		chunks := q.recent.from(first)
		if chunks == nil {
			return nil, nil, fmt.Errorf("records from %d: %w", first, errNotKept)
		}
		c, err := chunks[0].upTo(last)
		if err != nil {
			return nil, nil, err
		}
		out, first = append(out, c), c.last+1
	}
	return out, nil, nil
}

// tunnel is the stream of a standby further down the chain on its way through
// this one. Everything passes through it unchanged, but for the records that the
// primary leaves to this standby to fill in.
type tunnel struct {
	up, down net.Conn
	in       *bufio.Reader // from up
	below    *bufio.Reader // from down
	relay    *relay        // the tunnel lives no longer
	fill     bool          // the standby at the end took this one for its upstream
	done     chan struct{} // closed when the tunnel's end below has ended
	passed   prometheus.Counter
}

// relayStream serves a standby that takes its stream from this one.
func (r *Replica) relayStream(w http.ResponseWriter, req *http.Request) {
	hops, err := strconv.Atoi(req.URL.Query().Get(paramHops))
	if err != nil || hops < 0 || hops > maxHops {
		problem.Write(w, problem.Errorf(problem.BadRequest, "a stream passes through %d standbys at most, and %q is said", maxHops, req.URL.Query().Get(paramHops)))
		return
	}
	q, onward, err := r.relayTo(protocol.UUID(req.URL.Query().Get(paramPrimary)))
	if err != nil {
		problem.Write(w, err)
		return
	}
	onward.hops = hops + 1
	line, err := r.dialLine(req.Context(), onward)
	if err != nil {
		problem.Write(w, retryLater(problem.NotPrimary, "%s does not reach the primary for another: %v", r.opts.Name, err))
		return
	}
	down, below, err := frame.Accept(w, req, StreamProtocol)
	if err != nil {
		_ = line.conn.Close()
		r.log.Warn().Err(err).Msg("relayed stream not opened")
		return
	}
	t := &tunnel{
		up: line.conn, in: line.in, down: down, below: below, relay: q, fill: hops == 0,
		done: make(chan struct{}), passed: r.opts.Metrics.relayed,
	}
	r.log.Info().Str("for", down.RemoteAddr().String()).Msg("passing the stream on")
	err = t.run()
	r.log.Info().Err(err).Str("for", down.RemoteAddr().String()).Msg("stream passed on no longer")
}

// relayTo returns what this standby passes on of that primary's stream, and the
// way that its own takes.
func (r *Replica) relayTo(primary protocol.UUID) (*relay, route, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.asking.stream; s != nil && r.chained.Load() && s.relay.primary == primary {
		return s.relay, s.route, nil
	}
	return nil, route{}, retryLater(problem.NotPrimary, "%s has no stream of that primary to pass on", r.opts.Name)
}

// run passes frames on until either side or this standby's own stream ends.
func (t *tunnel) run() error {
	defer t.relay.enter()()
	closeBoth := sync.OnceFunc(func() { _ = t.up.Close(); _ = t.down.Close() })
	var wait sync.WaitGroup
	var upErr error
	wait.Go(func() {
		upErr = t.passUp()
		close(t.done)
		closeBoth()
	})
	wait.Go(func() {
		select {
		case <-t.relay.ended:
			closeBoth()
		case <-t.done:
		}
	})
	err := t.passDown()
	closeBoth()
	wait.Wait()
	return errors.Join(err, upErr)
}

// passUp carries what the standby says, byte by byte.
func (t *tunnel) passUp() error {
	buf := make([]byte, 4096)
	for {
		if err := t.down.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		n, err := t.below.Read(buf)
		if err != nil {
			return err
		}
		if err := t.up.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
			return err
		}
		if _, err := t.up.Write(buf[:n]); err != nil {
			return err
		}
	}
}

// passDown carries what the primary says, frame by frame: those that have
// arrived together leave together, and do not wait for one that is still arriving.
func (t *tunnel) passDown() error {
	var small [16]byte
	var out net.Buffers
	for {
		if err := t.up.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		h, payload, err := frame.Read(t.in, small[:0])
		if err != nil {
			return err
		}
		if h.Type == frameTake && t.fill {
			out, err = t.fillIn(out, h.Epoch, payload)
			if err != nil {
				return err
			}
		} else {
			out = append(out, frame.Append(nil, h.Type, h.Epoch, payload))
		}
		if frame.Buffered(t.in) && len(out) < maxTogether {
			continue
		}
		if err := t.write(out); err != nil {
			return err
		}
		out = nil
	}
}

// relayWait is how late records may come by way of a standby before whoever is
// behind it is to take them from the primary, for which there is still time then. It
// is longer than chainSilence: of a relay that is frozen nobody learns anything but
// by its silence.
const relayWait = 350 * time.Millisecond

// maxTogether bounds the pieces that a tunnel writes at once.
const maxTogether = 256

func (t *tunnel) write(out net.Buffers) error {
	if err := t.down.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	n, err := out.WriteTo(t.down)
	t.passed.Add(float64(n))
	return err
}

// fillIn puts the records in the place of a frame that names them. They may only
// come from the stream of the same epoch: in another one there may be others at
// the same seqs.
func (t *tunnel) fillIn(out net.Buffers, epoch protocol.Epoch, payload []byte) (net.Buffers, error) {
	if epoch != t.relay.epoch || len(payload) != 16 {
		return out, fmt.Errorf("records of epoch %d are to be filled in, and this standby is in epoch %d", epoch, t.relay.epoch)
	}
	first, last := protocol.Seq(binary.LittleEndian.Uint64(payload)), protocol.Seq(binary.LittleEndian.Uint64(payload[8:]))
	chunks, err := t.await(first, last, &out)
	if err != nil {
		return out, err
	}
	size := 0
	for _, c := range chunks {
		size += len(c.data)
	}
	out = append(out, frame.AppendHeader(nil, frameRecords, epoch, size))
	for _, c := range chunks {
		out = append(out, c.data)
	}
	return out, nil
}

// await waits until the records have arrived on this standby's own stream, for
// relayWait at most. What came before them does not wait with them.
func (t *tunnel) await(first, last protocol.Seq, out *net.Buffers) ([]chunk, error) {
	var late <-chan time.Time
	for {
		chunks, grown, err := t.relay.take(first, last)
		if err != nil || grown == nil {
			return chunks, err
		}
		if len(*out) > 0 {
			if err := t.write(*out); err != nil {
				return nil, err
			}
			*out = nil
		}
		if late == nil {
			late = time.After(relayWait)
		}
		select {
		case <-grown:
		case <-late:
			return nil, errors.New("the records have not come here for too long")
		case <-t.relay.ended:
			return nil, errors.New("this standby follows that primary no longer")
		case <-t.done:
			return nil, errors.New("the standby has gone")
		}
	}
}
