// Package forward stands between processes: a forwarder carries the connections
// to one of them, and a test cuts what it carries, in one direction or both, for
// some kinds of traffic or all. It works with any program that can be told
// another address, without privileges.
//
// A cut loses no bytes by itself: as on a real network, what is held waits in
// the buffers of the system and goes on when the cut ends, and nobody is told of
// anything. [Forwarder.Break] ends the connections as well, with what they hold.
package forward

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Cut says what of a kind of traffic is held. The zero Cut holds nothing.
type Cut struct {
	Requests bool // what the dialling side sends, and the dialling itself
	Answers  bool // what the other side sends
	// AnswersAfter, if not 0, holds the answers of each connection after about
	// so many bytes.
	AnswersAfter int64
}

// Both holds everything.
func Both() Cut { return Cut{Requests: true, Answers: true} }

// Forwarder carries connections to one address. Its methods may be called
// concurrently.
type Forwarder struct {
	target   string
	classify func(firstLine string) string
	ln       net.Listener
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	work     sync.WaitGroup
	bucket   atomic.Pointer[Bucket]

	mu      sync.Mutex // guards the fields below
	cuts    map[string]Cut
	changed chan struct{} // closed and replaced when cuts changes
	pairs   map[*pair]bool
}

// pair is one connection and its way on.
type pair struct {
	in, out net.Conn // out is nil before it is dialled
	kind    string   // "" before the first line is read
	// abandoned: it carries nothing any more, and nobody is told.
	abandoned bool
	broken    bool // it is at its end
}

// Listen starts a forwarder on a free port of the loopback. classify names the
// kind of a connection's traffic from the first line that the dialling side
// sends.
func Listen(ctx context.Context, target string, classify func(firstLine string) string) (*Forwarder, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Forwarder{
		target: target, classify: classify, ln: ln,
		cuts: map[string]Cut{}, changed: make(chan struct{}), pairs: map[*pair]bool{},
	}
	f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	f.work.Go(f.accept)
	return f, nil
}

// Address returns host:port of the forwarder.
func (f *Forwarder) Address() string { return f.ln.Addr().String() }

// Set cuts the traffic of a kind from now on; the zero Cut heals it.
func (f *Forwarder) Set(kind string, c Cut) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cuts[kind] = c
	f.tell()
}

// tell wakes whoever waits for a change. mu is held.
func (f *Forwarder) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Abandon leaves the present connections of a kind open and carries nothing on
// them any more, as when a machine in between has lost its power. New ones are
// not concerned.
func (f *Forwarder) Abandon(kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.pairs {
		p.abandoned = p.abandoned || p.kind == kind
	}
	f.tell()
}

// Break ends the connections of a kind, both sides, and loses what they hold.
func (f *Forwarder) Break(kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.pairs {
		if p.kind == kind {
			p.reset()
		}
	}
	f.tell()
}

// Close ends the forwarder and everything that it carries.
func (f *Forwarder) Close() error {
	err := f.ln.Close()
	f.cancel()
	f.mu.Lock()
	for p := range f.pairs {
		p.reset()
	}
	f.mu.Unlock()
	f.work.Wait()
	return err
}

// reset ends both connections without a farewell. Forwarder.mu is held.
func (p *pair) reset() {
	p.broken = true
	for _, c := range []net.Conn{p.in, p.out} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // closing tells enough
			_ = tcp.Close()
		}
	}
}

func (f *Forwarder) accept() {
	for {
		in, err := f.ln.Accept()
		if err != nil {
			return // the listener has been closed
		}
		f.work.Go(func() { f.carry(in) })
	}
}

// carry takes one connection to its end.
func (f *Forwarder) carry(in net.Conn) {
	p := &pair{in: in}
	if !f.enter(p) {
		return
	}
	defer f.leave(p)
	reader := bufio.NewReader(in)
	first, err := reader.ReadString('\n')
	if err != nil {
		return // it never said what it wants
	}
	f.name(p, f.classify(first))
	if f.pass(p, func(c Cut) bool { return !c.Requests }) != nil {
		return
	}
	out, err := new(net.Dialer).DialContext(f.ctx, "tcp", f.target)
	if err != nil || !f.connected(p, out) {
		return
	}
	if _, err := io.WriteString(out, first); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		var carried int64
		f.copy(p, in, limited{out, &f.bucket}, func(c Cut) bool { return !c.Answers && (c.AnswersAfter == 0 || carried < c.AnswersAfter) }, &carried)
	})
	f.copy(p, out, reader, func(c Cut) bool { return !c.Requests }, new(int64))
	back.Wait()
}

// copy carries one direction to its end and passes the end on.
func (f *Forwarder) copy(p *pair, to net.Conn, from io.Reader, open func(Cut) bool, carried *int64) {
	buf := make([]byte, 16<<10)
	for {
		if f.pass(p, open) != nil {
			return
		}
		n, err := from.Read(buf)
		// A cut that came during the read holds what was read, too.
		if f.pass(p, open) != nil {
			return
		}
		if n > 0 {
			*carried += int64(n)
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if tcp, ok := to.(*net.TCPConn); ok && errors.Is(err, io.EOF) {
				_ = tcp.CloseWrite() // the other side may be gone as well
				return
			}
			_ = to.Close()
			return
		}
	}
}

// pass waits until the cut of its kind lets a direction of a pair through.
func (f *Forwarder) pass(p *pair, open func(Cut) bool) error {
	for {
		f.mu.Lock()
		c, changed, abandoned, broken := f.cuts[p.kind], f.changed, p.abandoned, p.broken
		f.mu.Unlock()
		switch {
		case broken:
			return net.ErrClosed // what has been read of it is lost, too
		case !abandoned && open(c):
			return f.ctx.Err()
		}
		select {
		case <-changed:
		case <-f.ctx.Done():
			return f.ctx.Err()
		}
	}
}

// enter notes a connection, so that Close finds it.
func (f *Forwarder) enter(p *pair) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil {
		_ = p.in.Close()
		return false
	}
	f.pairs[p] = true
	return true
}

func (f *Forwarder) name(p *pair, kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.kind = kind
}

// connected notes the way on. It fails if the pair was ended meanwhile.
func (f *Forwarder) connected(p *pair, out net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.out = out
	return f.ctx.Err() == nil && !p.broken
}

func (f *Forwarder) leave(p *pair) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.pairs, p)
	_ = p.in.Close()
	if p.out != nil {
		_ = p.out.Close()
	}
}
