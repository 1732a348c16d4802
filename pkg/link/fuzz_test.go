package link

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/frame"
)

// script is a connection whose peer says what is written down and then leaves.
type script struct{ io.Reader }

func (script) Write(b []byte) (int, error)      { return len(b), nil }
func (script) Close() error                     { return nil }
func (script) LocalAddr() net.Addr              { return nil }
func (script) RemoteAddr() net.Addr             { return nil }
func (script) SetDeadline(time.Time) error      { return nil }
func (script) SetReadDeadline(time.Time) error  { return nil }
func (script) SetWriteDeadline(time.Time) error { return nil }

// Whatever a first hop says, the node ends with nothing in flight, and has called
// the handler only with whole requests.
func FuzzNode(f *testing.F) {
	put := &Request{Method: http.MethodPut, Target: "/v1/kv/a", Header: http.Header{"If-Match": {"*"}}, Body: []byte("value")}
	f.Add(append(requestFrame(1, put, 5), appendPart(nil, frameCancel, 1, nil)...))
	f.Add(append(requestFrame(1, put, 2), appendPart(nil, frameBody, 1, put.Body[2:])...))
	f.Add(append(requestFrame(1, put, 2), appendPart(nil, frameCancel, 1, nil)...))
	f.Add(append(requestFrame(1, put, 5), creditFrame(1, 1000)...))
	f.Add(appendPart(frame.Append(nil, framePing, 0, nil), frameVoid, 1, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || int64(len(body)) != r.ContentLength {
				panic("a body that is not whole")
			}
			_, _ = w.Write(body)
		}), ServerOptions{})
		up, err := http.NewRequestWithContext(t.Context(), http.MethodGet, Path, nil)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		c := s.newConn(ctx, up)
		c.open(script{}, bufio.NewReader(bytes.NewReader(b)))
		require.Error(t, c.serve(c.take))
		cancel()
		c.wait.Wait()
		for _, j := range c.jobs {
			require.False(t, j.started, "a job that was started has an end")
			c.release(j)
		}
		require.Zero(t, c.count)
		require.Zero(t, c.held)
		require.Zero(t, c.inFlight.Load())
	})
}

// Whatever a node says, a request has an outcome, and it is one of three.
func FuzzFirstHop(f *testing.F) {
	long := answerFrame(frameAnswer, 1, nil, []byte("begun"))
	f.Add(answerFrame(frameWhole, 1, http.Header{"Etag": {`"3.1"`}, "X-Own": {"1", "2"}}, []byte("value")))
	f.Add(append(bytes.Clone(long), appendPart(nil, frameLast, 1, []byte("ended"))...))
	f.Add(append(bytes.Clone(long), reasonFrame(frameAbort, 1, "no")...))
	f.Add(reasonFrame(frameRefuse, 1, "no"))
	f.Add(frame.Append(frame.Append(nil, frameLeave, 0, nil), frameBye, 0, []byte("enough")))
	f.Fuzz(func(t *testing.T, b []byte) {
		client := NewClient(ClientOptions{Address: address})
		c := &clientConn{client: client, conn: newConn(script{}, bufio.NewReader(bytes.NewReader(b)), client.context.Done()), exchanges: map[uint64]*exchange{}}
		x := client.blank()
		require.NoError(t, x.write(t.Context(), &Request{Method: http.MethodGet, Target: "/"}))
		require.NoError(t, c.enter(t.Context(), x))
		x.seal()
		require.True(t, c.out.post(&x.message, x.frame))
		c.run()
		<-x.done
		res, err := c.finish(x)
		if err != nil {
			require.NotEqual(t, errors.Is(err, ErrLost), errors.Is(err, ErrNotSent))
			require.Nil(t, res)
			return
		}
		require.GreaterOrEqual(t, res.Status, 200)
		if res.Rest != nil {
			_, err := io.ReadAll(res.Rest)
			require.True(t, err == nil || errors.Is(err, ErrLost))
		}
		require.Empty(t, c.exchanges)
	})
}

// What was read of a request's head is read again as it was.
func FuzzRequestHead(f *testing.F) {
	for _, r := range []*Request{
		{Method: http.MethodGet, Target: "/"},
		{Method: http.MethodPut, Target: "/v1/kv/a%2Fb", Header: http.Header{"If-Match": {`"3.1"`, `"3.2"`}, "Accept": {""}}, Body: []byte("value")},
	} {
		b, err := appendRequest(nil, r, time.Second)
		require.NoError(f, err)
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, s string) {
		head, err := cursor{rest: s}.requestHead()
		if err != nil || head.length > 1<<16 {
			return
		}
		b, err := appendRequest(nil, &Request{Method: head.method, Target: head.target, Header: head.header, Body: make([]byte, head.length)}, head.within)
		if err != nil {
			require.ErrorContains(t, err, "the headers are over") // a longer way to write them
			return
		}
		again, err := cursor{rest: string(b)}.requestHead()
		require.NoError(t, err)
		require.Equal(t, head, again)
	})
}

func TestHeadCutAnywhereIsGarbled(t *testing.T) {
	request, err := appendRequest(nil, &Request{Method: "PUT", Target: "/v1", Header: http.Header{"If-Match": {"*"}}}, time.Hour)
	require.NoError(t, err)
	answer, _ := appendAnswerHeader([]byte{0xc8, 1}, http.Header{"Etag": {"1"}, "X-Own": {"2"}})
	for n := range request {
		_, err := cursor{rest: string(request[:n])}.requestHead()
		require.ErrorIs(t, err, errGarbled, n)
	}
	for n := range answer {
		_, err := cursor{rest: string(answer[:n])}.answer()
		require.ErrorIs(t, err, errGarbled, n)
	}
	_, err = cursor{rest: string(request) + "x"}.requestHead()
	require.ErrorIs(t, err, errGarbled)
	_, err = cursor{rest: string(answer) + "x"}.answer()
	require.ErrorIs(t, err, errGarbled)
}

func TestHeadersOfTheTables(t *testing.T) {
	h := http.Header{}
	for _, name := range RequestHeaders {
		require.Equal(t, http.CanonicalHeaderKey(name), name)
		h[name] = []string{"value of " + name}
	}
	b, err := appendRequest(nil, &Request{Header: h}, 0)
	require.NoError(t, err)
	got, err := cursor{rest: string(b)}.requestHead()
	require.NoError(t, err)
	require.Equal(t, h, got.header)

	h = http.Header{"X-Own": {"by name"}}
	for _, name := range answerHeaders {
		require.Equal(t, http.CanonicalHeaderKey(name), name)
		h[name] = []string{"value of " + name}
	}
	b, ok := appendAnswerHeader([]byte{0xc8, 1}, h)
	require.True(t, ok)
	res, err := cursor{rest: string(b)}.answer()
	require.NoError(t, err)
	require.Equal(t, h, res.Header)
}

func TestDeadlineOfAnyLengthTravels(t *testing.T) {
	for within, want := range map[time.Duration]time.Duration{
		-time.Second:         time.Microsecond,
		time.Millisecond * 7: time.Millisecond * 7,
		1 << 61:              maxWithin,
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(within))
			defer cancel()
			var x exchange
			require.NoError(t, x.write(ctx, &Request{Method: "GET", Target: "/"}))
			head, err := cursor{rest: string(x.frame[headAt:])}.requestHead()
			require.NoError(t, err)
			require.Equal(t, want, head.within)
		})
	}
}
