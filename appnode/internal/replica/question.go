package replica

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"time"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/frame"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// asked is a standby's question at the primary: it takes the commit seq of the
// moment at which it arrived, and is answered after a round sent after that.
type asked struct {
	conn   *peerConn
	number uint64
	commit protocol.Seq
}

// answer has the answer sent. Replica.mu is held.
func (a asked) answer() {
	c := a.conn
	c.told = frame.AppendHeader(c.told, frameTold, c.epoch, 16)
	c.told = binary.LittleEndian.AppendUint64(c.told, a.number)
	c.told = binary.LittleEndian.AppendUint64(c.told, uint64(a.commit))
	c.notify()
}

// takeQuestion takes a standby's question. One that comes before this primary
// serves waits until it does. It goes unanswered where this is not the primary of
// that epoch: the standby asks the next one.
func (r *Replica) takeQuestion(c *peerConn, epoch protocol.Epoch, number uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.lead == nil || r.lead.epoch != epoch:
	case !r.core.Serving():
		c.early = number // a standby asks one at a time
	default:
		r.takeUp(c, number)
	}
}

// takeEarly takes the questions that came before this primary served.
func (r *Replica) takeEarly() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead == nil || !r.core.Serving() {
		return
	}
	for _, c := range r.conns {
		if number := c.early; number > 0 && c.epoch == r.lead.epoch {
			c.early = 0
			r.takeUp(c, number)
		}
	}
}

// takeUp has a question answered. Replica.mu is held, and this replica serves.
func (r *Replica) takeUp(c *peerConn, number uint64) {
	a := asked{c, number, r.core.Commit()}
	if r.core.Alone() {
		a.answer()
		return
	}
	rd := r.joinRound()
	rd.asked = append(rd.asked, a)
}

// asking is a standby's questions to its primary: one in flight, and one that
// the reads which arrive meanwhile share. Replica.mu guards it.
type asking struct {
	stream *incoming // nil: there is nobody to ask
	number uint64
	flying *question
	next   *question
}

type question struct {
	number uint64
	sent   time.Time
	done   chan struct{}
	commit protocol.Seq // the answer
	err    error        // why there is none; both are set before done is closed
}

func (q *question) fail(err error) {
	q.err = err
	close(q.done)
}

// beginAsking opens the way for questions on a new stream.
func (r *Replica) beginAsking(s *incoming) {
	r.mu.Lock()
	r.asking.stream = s
	r.following.Store(true)
	r.mu.Unlock()
}

// endAsking ends it, and the wait of those who asked.
func (r *Replica) endAsking(s *incoming) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asking.stream != s {
		return
	}
	r.following.Store(false)
	err := retryLater(problem.NotPrimary, "%s lost its stream from the primary", r.opts.Name)
	for _, q := range []*question{r.asking.flying, r.asking.next} {
		if q != nil {
			q.fail(err)
		}
	}
	r.asking = asking{number: r.asking.number}
}

// readAsked returns the applied state once it holds what was committed at the
// primary when this call began, as the primary confirmed afterwards.
func (r *Replica) readAsked(ctx context.Context) (*store.View, error) {
	r.mu.Lock()
	if r.asking.stream == nil {
		err := r.notServing()
		r.mu.Unlock()
		return nil, err
	}
	if r.asking.next == nil {
		r.asking.next = &question{done: make(chan struct{})}
	}
	q := r.asking.next
	if r.asking.flying == nil {
		r.asking.stream.wantAsk()
	}
	r.mu.Unlock()
	select {
	case <-q.done:
	case <-ctx.Done():
		return nil, retryLater(problem.NotPrimary, "the caller went away before the primary had answered %s", r.opts.Name)
	}
	if q.err != nil {
		return nil, q.err
	}
	if !r.await(ctx, q.commit, time.Duration(r.hold.Load())) {
		return nil, retryLater(problem.Overloaded, "%s has not applied record %d yet", r.opts.Name, q.commit)
	}
	return r.view.Load(), nil
}

// wantAsk has the asker send the next question.
func (s *incoming) wantAsk() {
	select {
	case s.asks <- struct{}{}:
	default: // it has been told, and has not looked yet
	}
}

// ask sends the questions of reads until asks is closed.
func (r *Replica) ask(s *incoming) {
	for range s.asks {
		// Reads that are about to arrive go first: one question then serves them
		// all. Where there are none, this takes no time.
		runtime.Gosched()
		if n, ok := r.askNext(s); ok {
			_ = s.send(frameAsk, n) // the reader sees a broken connection, too
		}
	}
}

// askNext makes the next question the one in flight and returns its number. A read
// that arrives from now on waits for the one after it.
func (r *Replica) askNext(s *incoming) (number uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &r.asking
	if a.stream != s || a.flying != nil || a.next == nil {
		return 0, false
	}
	a.number++
	a.flying, a.next = a.next, nil
	a.flying.number, a.flying.sent = a.number, time.Now()
	return a.number, true
}

// takeAnswer takes the primary's answer to a question.
func (r *Replica) takeAnswer(s *incoming, payload []byte) error {
	if len(payload) != 16 {
		return fmt.Errorf("an answer holds %d bytes where 16 belong", len(payload))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.asking.flying
	if r.asking.stream != s || q == nil || q.number != binary.LittleEndian.Uint64(payload) {
		return nil // of a question that nobody waits for any more
	}
	q.commit = protocol.Seq(binary.LittleEndian.Uint64(payload[8:]))
	r.asking.flying = nil
	close(q.done)
	if r.asking.next != nil {
		s.wantAsk()
	}
	return nil
}

// expireQuestion ends the wait for an answer that takes longer than hold. mu is
// held.
func (r *Replica) expireQuestion(now time.Time, hold time.Duration) {
	q := r.asking.flying
	if q == nil || now.Sub(q.sent) < hold {
		return
	}
	r.asking.flying = nil
	q.fail(retryLater(problem.NotPrimary, "the primary has not answered %s within %s", r.opts.Name, hold))
	if r.asking.next != nil {
		r.asking.stream.wantAsk()
	}
}
