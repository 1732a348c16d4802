package understudy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"understudy.example/pkg/link"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// errCut marks an answer, a success, whose end was lost.
var errCut = errors.New("the end of the answer was lost")

// cutPause is how long a read waits before it asks for an answer anew.
const cutPause = 20 * time.Millisecond

// read asks until the whole answer is there. However often it
// asks, the answer begins within one hold.
func (c *Client) read(ctx context.Context, target string, options []Option) (*link.Response, error) {
	limit := time.Now().Add(c.courier.Hold())
	question := func() *link.Request {
		return &link.Request{Method: http.MethodGet, Target: target, Header: headersOf(options)}
	}
	res, err := c.ask(ctx, question())
	if !errors.Is(err, errCut) {
		return res, err
	}
	within, cancel := context.WithDeadline(ctx, limit)
	defer cancel()
	for errors.Is(err, errCut) && wait(within, cutPause) {
		res, err = c.askWithin(ctx, within, question())
	}
	return res, err
}

// ask has a request answered. An answer that is no success is an error.
func (c *Client) ask(ctx context.Context, r *link.Request) (*link.Response, error) {
	return c.askWithin(ctx, ctx, r)
}

// askWithin is ask where the answer is to begin while another context, which ends with
// the caller's, has not ended.
func (c *Client) askWithin(ctx, within context.Context, r *link.Request) (*link.Response, error) {
	if len(r.Body) > link.MaxBody {
		return nil, failed(problem.Errorf(problem.TooLarge, "the request has %d bytes: at most %d are possible; split it", len(r.Body), link.MaxBody))
	}
	if len(r.Target) > link.MaxTarget {
		return nil, failed(problem.Errorf(problem.TooLarge, "the request's path has %d bytes: at most %d are possible", len(r.Target), link.MaxTarget))
	}
	res, err := c.courier.Do(within, r)
	if err != nil {
		return nil, c.unanswered(ctx, err)
	}
	if at, err := protocol.ParsePosition(res.Header.Get(wire.HeaderPosition)); err == nil {
		c.saw(at)
	}
	if err := complete(ctx, res); err != nil {
		f := failed(problem.Errorf(problem.NoPrimary, "the end of the answer was lost: %v", err))
		f.also = append(f.also, errCut)
		return nil, c.because(ctx, f)
	}
	switch {
	case res.Status == http.StatusNotModified:
		return nil, ErrNotModified
	case res.Status >= http.StatusMultipleChoices:
		return nil, failed(problem.Parse(res.Status, res.Header, res.Body))
	}
	return res, nil
}

// complete reads what follows the first part of an answer.
func complete(ctx context.Context, res *link.Response) error {
	if res.Rest == nil {
		return nil
	}
	defer res.Rest.Close()
	defer context.AfterFunc(ctx, func() { _ = res.Rest.Close() })() // ends the reading
	rest, err := io.ReadAll(res.Rest)
	if err != nil {
		return err
	}
	res.Body, res.Rest = append(res.Body, rest...), nil
	return nil
}
