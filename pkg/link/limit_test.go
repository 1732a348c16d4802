package link

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/frame"
	"understudy.example/pkg/memnet"
)

// A reader that does not read costs bounded memory, and holds up nobody else on
// its connection.
func TestSlowReaderHoldsUpNobody(t *testing.T) {
	const size = 32 << 20
	var mu sync.Mutex
	written := 0
	play(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/small" {
			return
		}
		for range size / 4096 {
			n, err := w.Write(make([]byte, 4096))
			mu.Lock()
			written += n
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}, func(t *testing.T, s *scene) {
		s.only()
		res, err := s.get("/large")
		require.NoError(t, err)
		require.Len(t, res.Body, FirstPart)
		for range 100 {
			_, err := s.get("/small")
			require.NoError(t, err)
		}
		synctest.Wait()
		mu.Lock()
		require.LessOrEqual(t, written, FirstPart+restWindow+2*maxPart)
		mu.Unlock()
		require.LessOrEqual(t, res.Rest.(*rest).data.Len(), restWindow)
		n, err := io.Copy(io.Discard, res.Rest)
		require.NoError(t, err)
		require.EqualValues(t, size-FirstPart, n)
		require.NoError(t, res.Rest.Close())
		require.True(t, s.settled())
	})
}

func TestRestThatIsClosedEndsTheHandler(t *testing.T) {
	for name, body := range map[string]int{"long": 32 << 20, "last part": FirstPart + restWindow + maxPart/2} {
		t.Run(name, func(t *testing.T) {
			failed := make(chan error, 1)
			play(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/" {
					_, err := w.Write(make([]byte, body))
					failed <- err
				}
			}, func(t *testing.T, s *scene) {
				failed = make(chan error, 1)
				s.only()
				res, err := s.get("/")
				require.NoError(t, err)
				time.Sleep(5 * time.Second)
				go func() { time.Sleep(time.Second); _ = res.Rest.Close() }()
				n, err := io.Copy(slow{}, res.Rest)
				require.ErrorIs(t, err, errRestClosed)
				require.NotZero(t, n)
				if err := <-failed; name == "long" {
					require.ErrorIs(t, err, context.Canceled)
				}
				synctest.Wait()
				require.True(t, s.settled())
				_, err = s.get("/again")
				require.NoError(t, err)
			})
		})
	}
}

// slow is a writer that takes its time.
type slow struct{}

func (slow) Write(p []byte) (int, error) {
	time.Sleep(time.Duration(len(p)) * time.Second / (128 << 10))
	return len(p), nil
}

func TestReaderThatNeverReadsIsGivenUp(t *testing.T) {
	failed := make(chan error, 1)
	play(t, func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 8<<20))
		failed <- err
	}, func(t *testing.T, s *scene) {
		failed = make(chan error, 1)
		start := time.Now()
		res, err := s.get("/")
		require.NoError(t, err)
		require.ErrorContains(t, <-failed, "nobody reads it")
		require.Equal(t, readerWait, time.Since(start))
		_, err = io.Copy(io.Discard, res.Rest)
		require.ErrorIs(t, err, ErrLost)
	})
}

// A part may be taken at the very moment at which the wait for that ends for another
// reason: the next wait is for the next part.
func TestAWaitLeavesNothingForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(nil)
		b := &bulk{part: framePart, last: frameLast, taken: make(chan struct{}, 1)}
		b.tell()
		sent := make(chan bool, 1)
		go func() { sent <- o.send(b, []byte("x"), true) }()
		synctest.Wait()
		require.Empty(t, sent, "nobody has asked for it")
		o.grant(b, 1)
		batch, _ := o.take(nil)
		require.Len(t, batch, partHeader+1)
		require.True(t, <-sent)
	})
}

// A large request on a slow line lets small ones pass.
func TestLargeRequestHoldsUpNobody(t *testing.T) {
	play(t, echo, func(t *testing.T, s *scene) {
		s.only()
		_, err := s.get("/")
		require.NoError(t, err)
		s.net.SetLink("a", "b", memnet.Link{Rate: 8 << 20})
		large := make(chan error, 1)
		go func() {
			_, err := s.Do(t.Context(), &Request{Method: http.MethodPut, Target: "/", Body: pattern(MaxBody)})
			large <- err
		}()
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		_, err = s.get("/")
		require.NoError(t, err)
		require.Less(t, time.Since(start), 200*time.Millisecond, "not behind 8 MiB, which take a second")
		require.NoError(t, <-large)
		require.GreaterOrEqual(t, time.Since(start), 500*time.Millisecond)
	})
}

func TestRequestsBeyondTheBoundWait(t *testing.T) {
	release := make(chan struct{})
	play(t, func(http.ResponseWriter, *http.Request) { <-release }, func(t *testing.T, s *scene) {
		release = make(chan struct{})
		s.only()
		var wait sync.WaitGroup
		for range MaxInFlight {
			wait.Go(func() { _, err := s.get("/"); require.NoError(t, err) })
		}
		synctest.Wait()
		_, err := s.Do(limited(t, time.Second), &Request{Method: http.MethodGet, Target: "/"})
		require.ErrorIs(t, err, ErrNotSent)
		require.ErrorContains(t, err, "4096 requests are in flight")
		wait.Go(func() { _, err := s.get("/"); require.NoError(t, err) })
		close(release)
		wait.Wait()
		require.True(t, s.settled())
	})
}

func TestBodiesBeyondTheBoundWait(t *testing.T) {
	play(t, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) }, func(t *testing.T, s *scene) {
		s.only()
		body := make([]byte, MaxBody)
		start := time.Now()
		var wait sync.WaitGroup
		for range MaxHeld/MaxBody + 1 {
			wait.Go(func() {
				_, err := s.Do(t.Context(), &Request{Method: http.MethodPut, Target: "/", Body: body})
				require.NoError(t, err)
			})
		}
		wait.Wait()
		require.GreaterOrEqual(t, time.Since(start), 2*time.Second)
	})
}

func TestFirstHopsThatBreakTheProtocol(t *testing.T) {
	get := &Request{Method: http.MethodGet, Target: "/wait"}
	put := &Request{Method: http.MethodPut, Target: "/wait", Body: make([]byte, MaxBody)}
	many := func(n int, r *Request) (frames []byte) {
		for i := range n {
			frames = append(frames, requestFrame(uint64(i+1), r, 0)...)
		}
		return frames
	}
	garbled := requestFrame(1, get, 0)
	garbled[headAt+2] = 0xff
	for name, tc := range map[string]struct {
		frames []byte
		why    string
	}{
		"in flight":     {many(MaxInFlight+1, get), "too many requests in flight"},
		"held":          {many(MaxHeld/MaxBody+1, put), "too large together"},
		"number":        {append(many(1, get), many(1, get)...), "a number that is in flight already"},
		"type":          {frame.Append(nil, 99, 0, make([]byte, 8)), "frame of type 99 from a first hop"},
		"answer":        {appendPart(nil, framePart, 1, nil), "frame of type 8 from a first hop"},
		"no number":     {frame.Append(nil, frameCancel, 0, []byte("seven b")), "garbled"},
		"no head":       {frame.Append(nil, frameRequest, 0, make([]byte, 11)), "garbled"},
		"head":          {garbled, "garbled"},
		"long":          {frame.AppendHeader(nil, frameRequest, 0, maxPayload+1), "longer than its protocol allows"},
		"much body":     {append(requestFrame(1, &Request{Method: "PUT", Target: "/wait", Body: []byte("abc")}, 1), appendPart(nil, frameBody, 1, []byte("bcd"))...), "longer than announced"},
		"empty part":    {append(requestFrame(1, &Request{Method: "PUT", Target: "/wait", Body: []byte("abc")}, 1), appendPart(nil, frameBody, 1, nil)...), "longer than announced"},
		"credit":        {append(many(1, get), creditFrame(1, restWindow+1)...), "a credit over the window"},
		"credit length": {append(many(1, get), appendPart(nil, frameCredit, 1, []byte("abc"))...), "garbled"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(t *testing.T, s *scene) {
				p := s.peer()
				p.write(tc.frames)
				got, payload := p.read()
				require.Equal(t, frameBye, got)
				require.Contains(t, string(payload), tc.why)
				_, err := io.Copy(io.Discard, p.in)
				require.NoError(t, err, "and the connection is closed")
				require.NoError(t, p.conn.Close())
			})
		})
	}
}

func TestNodesThatBreakTheProtocol(t *testing.T) {
	body := pattern(FirstPart)
	long := func(n uint64, bytes int) []byte {
		frames := answerFrame(frameAnswer, n, nil, nil)
		for ; bytes > 0; bytes -= maxPart {
			frames = append(frames, appendPart(nil, framePart, n, body[:maxPart])...)
		}
		return frames
	}
	var early []byte
	early = binary.AppendUvarint(begin(early), 103)
	early, _ = appendAnswerHeader(early, nil)
	seal(early, frameWhole, 1, len(early))
	for name, tc := range map[string]struct {
		frames []byte
		why    string
	}{
		"unasked":       {answerFrame(frameWhole, 7, nil, nil), "waits for none"},
		"twice":         {append(answerFrame(frameAnswer, 1, nil, nil), answerFrame(frameWhole, 1, nil, nil)...), "waits for none"},
		"part first":    {appendPart(nil, framePart, 1, body[:1]), "has not begun"},
		"part unasked":  {appendPart(nil, frameLast, 7, body[:1]), "has not begun"},
		"over a MiB":    {append(answerFrame(frameAnswer, 1, nil, body[:1]), long(1, FirstPart)[len(answerFrame(frameAnswer, 1, nil, nil)):]...), "longer than asked for"},
		"end unasked":   {reasonFrame(frameAbort, 7, ""), "not in flight"},
		"type":          {appendPart(nil, 99, 1, nil), "frame of type 99 from a node"},
		"request":       {requestFrame(1, &Request{Method: "GET", Target: "/"}, 0), "from a node"},
		"status":        {early, "garbled"},
		"too much body": {answerFrame(frameWhole, 1, nil, body[:maxPart+1]), "longer than a part"},
	} {
		t.Run(name, func(t *testing.T) {
			told := make(chan string, 1)
			playNode(t, func(conn net.Conn, in *bufio.Reader) {
				_, _, _ = frame.Read(in, nil)
				_, _ = conn.Write(tc.frames)
				h, payload, err := frame.Read(in, nil)
				told <- fmt.Sprint(h.Type, string(payload), err)
			}, func(t *testing.T, s *scene) {
				told = make(chan string, 1)
				_, err := s.get("/")
				require.ErrorIs(t, err, ErrLost)
				require.ErrorContains(t, err, tc.why)
				require.Contains(t, <-told, tc.why)
			})
		})
	}
}

func TestNodeThatSendsMoreThanTheWindow(t *testing.T) {
	playNode(t, func(conn net.Conn, in *bufio.Reader) {
		_, _, _ = frame.Read(in, nil)
		_, _ = conn.Write(answerFrame(frameAnswer, 1, nil, nil))
		for range (FirstPart+restWindow)/maxPart + 1 {
			_, _ = conn.Write(appendPart(nil, framePart, 1, make([]byte, maxPart)))
		}
		_, _ = io.Copy(io.Discard, in)
	}, func(t *testing.T, s *scene) {
		res, err := s.get("/")
		require.NoError(t, err)
		synctest.Wait()
		b, err := io.ReadAll(res.Rest)
		require.ErrorContains(t, err, "longer than asked for")
		require.True(t, bytes.Equal(b, make([]byte, restWindow)))
	})
}
