package replica

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"understudy.example/pkg/frame"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// The parameters of a stream that passes through another standby: the primary
// that it is to reach, and through how many it has passed already.
const (
	paramPrimary = "to"
	paramHops    = "hops"
)

// Bounds of a chain.
const (
	// chainSilence is how long a standby bears silence on a stream that passes
	// through another: confirms come ten times a second, and the primary removes
	// who does not answer for 500 ms. So a frozen link of the chain costs only its
	// own copy: whoever is behind it goes to the primary in time.
	chainSilence = 300 * time.Millisecond
	// chainCalm is how long the record must have asked for another upstream before
	// a standby moves there, the first time and after it went well.
	chainCalm = time.Second
	// chainPatience is the longest pause after upstreams that failed, each of which
	// doubles it; chainTrust is how long a stream must last to end that.
	chainPatience = 32 * time.Second
	chainTrust    = 10 * time.Second
)

// route is the way of a standby's stream.
type route struct {
	primary protocol.UUID
	via     protocol.UUID // the standby that it passes through; empty for none
	hops    int           // standbys that it has passed already
}

// upstream is the node at the other end of the connection.
func (o route) upstream() protocol.UUID { return cmp.Or(o.via, o.primary) }

// silence bounds the wait for a word on the stream.
func (o route) silence() time.Duration {
	if o.via != "" {
		return chainSilence
	}
	return silence
}

// line is a connection on which a stream can begin.
type line struct {
	route route
	conn  net.Conn
	in    *bufio.Reader
}

// dialLine connects to the next place on the way of a stream.
func (r *Replica) dialLine(ctx context.Context, o route) (*line, error) {
	next := o.primary
	query := url.Values{"group": {strconv.FormatUint(uint64(r.opts.Group), 10)}}
	if o.via != "" {
		next = o.via
		query.Set(paramPrimary, string(o.primary))
		query.Set(paramHops, strconv.Itoa(o.hops))
	}
	address, ok := r.opts.Address(next)
	if !ok {
		return nil, fmt.Errorf("the address of %s is not known yet", r.opts.NameOf(next))
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, in, err := frame.Dial(ctx, r.opts.Dial, address, wire.PathStream+"?"+query.Encode(), StreamProtocol)
	if err != nil {
		return nil, err
	}
	return &line{route: o, conn: conn, in: in}, nil
}

// wanted is the way that this standby's stream should take by the newest record.
func (r *Replica) wanted(primary protocol.UUID) route {
	o := route{primary: primary}
	if !r.chained.Load() {
		return o
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if up := r.core.GroupRecord().Upstream(r.opts.Me.UUID); up != primary {
		o.via = up
	}
	return o
}

// errMoved ends a stream that another one takes the place of.
var errMoved = errors.New("the stream goes another way")

// mover finds the way of a standby's stream: straight to the primary at first
// and after every failure, and along the chain when all is calm. It is owned by
// the goroutine of [Replica.follow].
type mover struct {
	relay *relay        // what standbys behind this one take
	next  *line         // dialled, for the next stream; nil: dial the primary
	old   net.Conn      // open until the next stream has shaken hands; nil: none
	pause time.Duration // before an upstream is tried
}

// ended learns how a stream went.
func (m *mover) ended(o route, lasted time.Duration, err error) {
	switch {
	case o.via == "" || errors.Is(err, errMoved):
	case lasted >= chainTrust:
		m.pause = chainCalm
	default:
		m.pause = min(2*m.pause, chainPatience)
	}
}

// newMover returns one that begins at the primary.
func newMover(primary protocol.UUID, epoch protocol.Epoch) *mover {
	return &mover{relay: newRelay(primary, epoch), pause: chainCalm}
}

// take returns the connection that the next stream is to begin on; nil: the
// primary is to be dialled.
func (m *mover) take() *line {
	l := m.next
	m.next = nil
	return l
}

// leave closes the connection of the stream before.
func (m *mover) leave() {
	if m.old != nil {
		_ = m.old.Close()
		m.old = nil
	}
}

// drop ends it all, at the end of the role.
func (m *mover) drop() {
	close(m.relay.ended)
	m.leave()
	if m.next != nil {
		_ = m.next.conn.Close()
		m.next = nil
	}
}

// move waits until the stream s should go another way, and dials it: the old
// stream goes on until the new connection is there. It returns nil when ctx has
// ended.
func (r *Replica) move(ctx context.Context, now route, pause time.Duration) *line {
	said := ""
	for failed := 0; ctx.Err() == nil; {
		select {
		case <-ctx.Done():
			return nil
		case <-r.rerouted:
		case <-r.calm(now, failed, pause):
			l, err := r.tryMove(ctx, now)
			if l != nil {
				return l
			}
			if text := fmt.Sprint(err); err != nil && ctx.Err() == nil && text != said {
				said = text // the same trouble is told once, not twenty times a second
				r.log.Warn().Err(err).Msg("stream stays as it is")
			}
			failed++
			pause = min(2*pause, chainPatience)
		}
	}
	return nil
}

// watchRoute ends the stream s when another way is better, and has been dialled:
// m then has it. The function that it returns ends the watching, and tells whether
// it came to that.
func (r *Replica) watchRoute(ctx context.Context, s *incoming, m *mover) (stop func() (moved bool)) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if m.next = r.move(ctx, s.route, m.pause); m.next != nil {
			s.turn()
		}
	}()
	return func() bool {
		cancel()
		<-done
		return m.next != nil
	}
}

// calm returns when a stream should move; nil: never, as things are. The way to
// the primary itself is taken at once: the upstream has left the chain.
func (r *Replica) calm(now route, failed int, wait time.Duration) <-chan time.Time {
	switch want := r.wanted(now.primary); {
	case want == now:
		return nil
	case want.via == "":
		return time.After(redialPauses[min(failed, len(redialPauses)-1)] * redialUnit)
	}
	return time.After(wait)
}

// tryMove dials the way that the stream should take; nothing where that is the one
// that it takes now.
func (r *Replica) tryMove(ctx context.Context, now route) (*line, error) {
	want := r.wanted(now.primary)
	if want == now {
		return nil, nil
	}
	l, err := r.dialLine(ctx, want)
	if err != nil {
		return nil, fmt.Errorf("move to %s: %w", r.opts.NameOf(want.upstream()), err)
	}
	return l, nil
}

// reroute has the way of the stream looked at again.
func (r *Replica) reroute() {
	select {
	case r.rerouted <- struct{}{}:
	default:
	}
}
