package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"

	"understudy.example/pkg/problem"
)

// exchange is one request on its way to a node and back.
type exchange struct {
	proxy   *Proxy
	target  target
	in, out *http.Request
	body    *limitedBody // nil: the request has none
	conn    usedConn
	cancel  context.CancelFunc
	timer   *time.Timer // ends the exchange when hold has passed
	unbind  func() bool // takes it off the reign
}

func (p *Proxy) newExchange(w http.ResponseWriter, r *http.Request) (*exchange, error) {
	if r.ContentLength > MaxRequest {
		return nil, tooLarge()
	}
	// The reign is read before the directory: a primary that is replaced in
	// between is cancelled, never waited for.
	reign := p.currentReign()
	t, err := p.route(r)
	if err != nil {
		return nil, err
	}
	x := &exchange{proxy: p, target: t, in: r}
	ctx, cancel := context.WithCancel(r.Context())
	x.cancel = cancel
	x.timer = time.AfterFunc(p.hold, cancel)
	x.unbind = func() bool { return true }
	if !t.replica {
		x.unbind = context.AfterFunc(reign, cancel)
	}
	x.out = x.outgoing(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: x.conn.got}), w)
	return x, nil
}

// outgoing builds the request to the node, the path byte for byte as it came.
func (x *exchange) outgoing(ctx context.Context, w http.ResponseWriter) *http.Request {
	r := x.in
	out := &http.Request{
		Method: r.Method,
		URL: &url.URL{
			Scheme: "http", Host: x.target.address,
			Path: r.URL.Path, RawPath: r.URL.RawPath,
			RawQuery: x.target.query, ForceQuery: r.URL.ForceQuery,
		},
		Host:          x.target.address,
		Header:        requestHeader(r),
		ContentLength: r.ContentLength,
	}
	if x.target.replica {
		x.proxy.newest.demand(group, out.Header)
	}
	if r.ContentLength != 0 {
		x.body = &limitedBody{ReadCloser: http.MaxBytesReader(w, r.Body, MaxRequest)}
		out.Body = x.body
	}
	return out.WithContext(ctx)
}

// finish releases what the exchange holds.
func (x *exchange) finish() {
	x.timer.Stop()
	x.unbind()
	x.cancel()
	if x.body != nil {
		// The transport may still read it, and must not after the handler returned.
		_ = x.body.Close() // its error says nothing about the exchange
	}
}

// run sends the request and passes the answer on. After an error nothing has
// been answered yet.
func (x *exchange) run(w http.ResponseWriter) (status int, err error) {
	answer, err := x.proxy.transport.RoundTrip(x.out)
	if err != nil {
		return 0, x.explain(err)
	}
	defer answer.Body.Close() //nolint:errcheck // the answer has been read, or given up
	if answer.StatusCode == http.StatusTemporaryRedirect {
		return 0, noPrimary("%s is no longer the primary", x.target.name)
	}
	buf := x.proxy.buffers.Get().(*bytes.Buffer)
	defer x.proxy.giveBack(buf)
	if _, err := buf.ReadFrom(io.LimitReader(answer.Body, maxBuffer)); err != nil {
		return 0, x.explain(err)
	}
	x.proxy.newest.note(group, answer.Header)
	copyEndToEnd(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	x.pass(w, buf, answer.Body)
	return answer.StatusCode, nil
}

// pass writes what has been read of an answer, and then the rest as it comes.
func (x *exchange) pass(w http.ResponseWriter, read *bytes.Buffer, rest io.Reader) {
	whole := read.Len() < maxBuffer
	_, err := w.Write(read.Bytes())
	for err == nil && !whole {
		x.timer.Reset(x.proxy.hold) // an answer that goes on is not cut
		_, err = io.CopyN(w, rest, maxBuffer)
	}
	if !whole && !errors.Is(err, io.EOF) {
		// The status has been sent: only a broken connection tells the caller
		// that the answer is not whole.
		panic(http.ErrAbortHandler)
	}
}

// explain turns a failed exchange into the answer that is true of it.
func (x *exchange) explain(err error) error {
	name := x.target.name
	switch {
	case x.body != nil && x.body.overrun.Load():
		return tooLarge() // and the node never got a whole request
	case !x.conn.sent():
		return noPrimary("%s cannot be reached; nothing was sent: %v", name, err)
	case isRead(x.in.Method):
		return noPrimary("%s did not answer: %v", name, err)
	}
	return problem.Errorf(problem.OutcomeUnknown, "%s did not answer, and may have applied the write: read before you send it again: %v", name, err)
}

func tooLarge() error {
	return problem.Errorf(problem.TooLarge, "the request is over %d bytes", MaxRequest)
}

// giveBack keeps a buffer for the next answer, unless a rare large one has
// grown it.
func (p *Proxy) giveBack(b *bytes.Buffer) {
	if b.Cap() > keepBuffer {
		return
	}
	b.Reset()
	p.buffers.Put(b)
}
