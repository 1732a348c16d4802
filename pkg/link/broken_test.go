package link

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/frame"
)

func TestNodeThatCannotBeReached(t *testing.T) {
	play(t, echo, func(t *testing.T, s *scene) {
		s.net.Cut("a", "b")
		start := time.Now()
		_, err := s.get("/")
		require.ErrorIs(t, err, ErrNotSent)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, defaultDial, time.Since(start))
		_, err = s.Do(limited(t, time.Millisecond), &Request{Method: http.MethodGet, Target: "/"})
		require.ErrorIs(t, err, ErrNotSent)
		s.net.Heal("a", "b")

		s.net.Crash("b")
		_, err = s.get("/")
		require.ErrorIs(t, err, ErrNotSent)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}

func TestNodeWithoutLinks(t *testing.T) {
	perform(t, http.NotFoundHandler, func(t *testing.T, s *scene) {
		_, err := s.get("/")
		require.ErrorIs(t, err, ErrNotSent)
		require.ErrorContains(t, err, "the server answered 404")
	})
}

func TestConnectionThatBreaksAtEveryStage(t *testing.T) {
	read := func(in *bufio.Reader) uint64 {
		_, payload, _ := frame.Read(in, nil)
		number, _, _ := cutNumber(payload)
		return number
	}
	for name, tc := range map[string]struct {
		node func(conn net.Conn, in *bufio.Reader)
		body int
		err  error
	}{
		"after the request":             {func(_ net.Conn, in *bufio.Reader) { read(in) }, 0, ErrLost},
		"in the middle of the request":  {func(_ net.Conn, in *bufio.Reader) { _, _ = in.Peek(5) }, 0, ErrLost},
		"in the middle of a large body": {func(_ net.Conn, in *bufio.Reader) { _, _ = io.CopyN(io.Discard, in, 1<<20) }, MaxBody, ErrNotSent},
		"after the head": {func(conn net.Conn, in *bufio.Reader) {
			_, _ = conn.Write(answerFrame(frameAnswer, read(in), nil, []byte("begun")))
		}, 0, ErrLost},
		"after a part": {func(conn net.Conn, in *bufio.Reader) {
			number := read(in)
			_, _ = conn.Write(answerFrame(frameAnswer, number, nil, nil))
			_, _ = conn.Write(appendPart(nil, framePart, number, []byte("begun")))
		}, 0, ErrLost},
		"by a refusal": {func(conn net.Conn, in *bufio.Reader) {
			_, _ = conn.Write(reasonFrame(frameRefuse, read(in), "no"))
		}, 0, ErrNotSent},
		"by a farewell": {func(conn net.Conn, in *bufio.Reader) {
			read(in)
			_, _ = conn.Write(frame.Append(nil, frameBye, 0, []byte("enough")))
		}, 0, ErrLost},
	} {
		t.Run(name, func(t *testing.T) {
			playNode(t, tc.node, func(t *testing.T, s *scene) {
				_, err := s.Do(t.Context(), &Request{Method: http.MethodPut, Target: "/", Body: pattern(tc.body)})
				require.ErrorIs(t, err, tc.err)
				require.NotErrorIs(t, err, other(tc.err))
			})
		})
	}
}

func other(err error) error {
	if err == ErrLost { //nolint:errorlint // one of the two, itself
		return ErrNotSent
	}
	return ErrLost
}

func TestAnswerCutAtEveryByteIsLost(t *testing.T) {
	answer := answerFrame(frameWhole, 1, http.Header{"Etag": {`"3.1"`}}, []byte("value"))
	for n := range answer {
		playNode(t, func(conn net.Conn, in *bufio.Reader) {
			_, _, _ = frame.Read(in, nil)
			_, _ = conn.Write(answer[:n])
		}, func(t *testing.T, s *scene) {
			_, err := s.get("/")
			require.ErrorIs(t, err, ErrLost, "cut at %d", n)
			require.True(t, s.settled())
		})
	}
}

func TestRequestCutAtEveryByteIsNotCarriedOut(t *testing.T) {
	r := &Request{Method: http.MethodPut, Target: "/v1/kv/a", Header: http.Header{"If-Match": {"*"}}, Body: []byte("value")}
	whole := append(requestFrame(1, r, 2), appendPart(nil, frameBody, 1, r.Body[2:])...)
	calls := 0
	play(t, func(http.ResponseWriter, *http.Request) { calls++ }, func(t *testing.T, s *scene) {
		for n := range whole {
			p := s.peer()
			p.write(whole[:n])
			require.NoError(t, p.conn.Close())
		}
		p := s.peer()
		p.write(whole)
		answer, _ := p.read()
		require.Equal(t, frameWhole, answer)
		require.NoError(t, p.conn.Close())
		require.Equal(t, 1, calls)
	})
}

func TestRestThatBreaks(t *testing.T) {
	play(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(pattern(8 << 20)) }, func(t *testing.T, s *scene) {
		res, err := s.get("/")
		require.NoError(t, err)
		require.Len(t, res.Body, FirstPart)
		time.AfterFunc(time.Second, func() { s.net.Reset("a", "b") })
		time.Sleep(2 * time.Second)
		_, err = io.Copy(io.Discard, res.Rest)
		require.ErrorIs(t, err, ErrLost)
		require.NoError(t, res.Rest.Close())
	})
}

// After a break the next request makes a new connection.
func TestConnectionIsMadeAnew(t *testing.T) {
	play(t, echo, func(t *testing.T, s *scene) {
		for range 3 {
			_, err := s.get("/")
			require.NoError(t, err)
			s.net.Reset("a", "b")
			synctest.Wait()
		}
	})
}

func TestRefusalOfALargeRequest(t *testing.T) {
	playNode(t, func(conn net.Conn, in *bufio.Reader) {
		_, payload, _ := frame.Read(in, nil)
		_, _ = conn.Write(reasonFrame(frameRefuse, numberOf(t, payload), "no"))
		_, _ = io.Copy(io.Discard, in)
	}, func(t *testing.T, s *scene) {
		_, err := s.Do(t.Context(), &Request{Method: http.MethodPut, Target: "/", Body: pattern(MaxBody)})
		require.ErrorIs(t, err, ErrNotSent)
		require.ErrorContains(t, err, "refused: no")
	})
}
