package courier

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"understudy.example/pkg/link"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/requestid"
	"understudy.example/pkg/wire"
)

// errStopped ends what waits when Run has returned.
var errStopped = errors.New("the process is stopping")

// retryAfter is what a caller is told to wait who was held in vain.
const retryAfter = time.Second

// carriage is one request on its way.
type carriage struct {
	*Courier
	request *link.Request
	began   time.Time
	key     string            // by which the caller can ask again; "": a read
	ticket  *requestid.Ticket // nil: a read, or the caller brought a key
	// uncertain: an attempt may have been carried out, and its answer is lost.
	uncertain bool
	last      error // why the newest attempt came to nothing
}

// Do carries a request to the primary and returns the answer, whatever its
// status, as a node gave it. ctx bounds the wait beside the hold. The error is a
// *problem.Error: no_primary if nothing was or will be applied, outcome_unknown
// with the key to ask again if a write may have been.
//
// A write without a key of the caller's is given an id. The request's header is
// changed; its body must not change until Do returns.
func (c *Courier) Do(ctx context.Context, r *link.Request) (*link.Response, error) {
	x := &carriage{Courier: c, request: r, began: time.Now()}
	if !isRead(r.Method) {
		if err := x.name(); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.Hold())
	defer cancel()
	res, err := x.carry(ctx)
	if x.ticket != nil {
		x.settle(err)
	}
	return res, err
}

// name gives a write its id: the one that it brings, or a new one.
func (x *carriage) name() error {
	id, err := requestid.Of(x.request.Header)
	if err != nil {
		return err
	}
	if x.key = id.AsKey(); x.key == "" {
		x.ticket = x.ids.Next()
		x.key = x.ticket.Key()
	}
	return nil
}

// settle ends the ticket: whoever was told the key may still ask.
func (x *carriage) settle(err error) {
	if problem.CodeOf(err) == problem.OutcomeUnknown {
		x.ticket.Abandon()
		return
	}
	x.ticket.Done()
}

func (x *carriage) carry(ctx context.Context) (*link.Response, error) {
	for attempt := 0; ; attempt++ {
		r, err := x.await(ctx, attempt)
		if err != nil {
			return nil, x.giveUp(ctx, err)
		}
		if x.ticket != nil {
			x.stamp()
		}
		res, err := r.node.Do(ctx, x.request)
		if err != nil {
			x.failed(ctx, r, err)
			continue
		}
		verdict := x.judge(r, res)
		if verdict == pass {
			x.answered(r, res)
			return res, nil
		}
		if res.Rest != nil {
			_ = res.Rest.Close() // of an answer that is not passed on
		}
		if verdict == unknown {
			return nil, x.giveUp(ctx, x.last)
		}
	}
}

// verdict is what an answer means for the request.
type verdict uint8

const (
	pass    verdict = iota // it is the caller's
	again                  // the request is sent again
	unknown                // what became of an earlier attempt cannot be learnt any more
)

// stamp names the request by its id, with what is still unanswered now.
func (x *carriage) stamp() {
	if x.request.Header == nil {
		x.request.Header = http.Header{}
	}
	x.request.Header[wire.HeaderRequest] = []string{x.ticket.ID().Header()}
}

// failed notes an attempt without an answer.
func (x *carriage) failed(ctx context.Context, r *route, err error) {
	x.last = fmt.Errorf("%s did not answer: %w", r.target.Name, err)
	if !errors.Is(err, link.ErrNotSent) {
		x.uncertain = true
	}
	if ctx.Err() == nil { // else the caller has had enough, which says nothing of the route
		x.doubt(r)
	}
}

// judge tells what an answer means.
func (x *carriage) judge(r *route, res *link.Response) verdict {
	if res.Status == http.StatusTemporaryRedirect { // a standby points to another node
		x.last = problem.Errorf(problem.NotPrimary, "%s is no longer the primary", r.target.Name)
		x.doubt(r)
		return again
	}
	if res.Status < http.StatusBadRequest {
		return pass
	}
	err := problem.Parse(res.Status, res.Header, res.Body)
	x.last = err
	switch code := err.Code; {
	case code == problem.NotPrimary || code == problem.Fenced || code == problem.NoPrimary:
		x.doubt(r)
		return again
	case code == problem.OutcomeUnknown && x.write():
		x.uncertain = true
		return again
	case code == problem.SessionExpired:
		return x.expired(res.Header)
	case x.uncertain && (code == problem.Overloaded || code == problem.TooFewCopies || code == problem.DiskFull):
		return again // the group does not remember having said so
	}
	return pass
}

// expired gives a write another id in place of one whose session the group does
// not know. Where an attempt may have been carried out, that is safe only if the
// group will not take the old id ever again: it was born before what the group
// has forgotten, and not after what it has. (That the write was applied and then
// forgotten cannot be: an answer is kept for ten minutes after the last use of its
// session, and no request is held for that long.)
func (x *carriage) expired(h http.Header) verdict {
	if x.ticket == nil {
		return pass // the id is the caller's affair
	}
	at, err := protocol.ParsePosition(h.Get(wire.HeaderPosition))
	if forGood := err == nil && x.ticket.ID().Birth <= at.Seq; x.uncertain && !forGood {
		return unknown
	}
	if err == nil {
		x.ids.Saw(at.Seq)
	}
	x.ticket, x.uncertain = x.ticket.Renew(), false
	x.key = x.ticket.Key()
	return again
}

func (x *carriage) write() bool { return x.key != "" }

// answered takes from an answer what the courier goes by.
func (x *carriage) answered(r *route, res *link.Response) {
	if x.ticket != nil {
		if at, err := protocol.ParsePosition(res.Header.Get(wire.HeaderPosition)); err == nil {
			x.ids.Saw(at.Seq)
		}
	}
	if o := r.reopening.Load(); o != nil && r.reopening.CompareAndSwap(o, nil) {
		o.First = time.Now()
		x.reopened(*o)
	}
}

// giveUp says what is true of a request that found no answer in time.
func (x *carriage) giveUp(ctx context.Context, err error) error {
	why := "there is no primary now"
	switch {
	case errors.Is(err, errStopped):
		why = "this process is stopping"
	case x.last != nil:
		why = x.last.Error()
	}
	if x.uncertain && x.write() {
		e := problem.Errorf(problem.OutcomeUnknown, "the write may or may not have been applied: %s; ask again with the same request and Idempotency-Key: %s", why, x.key)
		e.Key = x.key
		return e
	}
	held := "nothing was applied: "
	if !x.write() {
		held = ""
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		held += "waited for " + time.Since(x.began).Round(time.Millisecond).String() + ": " // the caller may have set less than the hold
	}
	e := problem.Errorf(problem.NoPrimary, "%s%s", held, why)
	e.RetryAfter = retryAfter
	return e
}

// isRead tells whether a method changes nothing, so that it may be repeated.
func isRead(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}
