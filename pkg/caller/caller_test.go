package caller

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/memnet"
)

// inServer runs a test in a bubble, with a connection to a server of h. ended is told
// how long each request took.
func inServer(t *testing.T, h http.HandlerFunc, test func(t *testing.T, conn net.Conn, ended <-chan time.Duration)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		ln, err := n.Host("m").Listen(t.Context(), "m:80")
		require.NoError(t, err)
		ended := make(chan time.Duration, 2)
		srv := &http.Server{ReadHeaderTimeout: time.Second, ReadTimeout: BodyPatience, IdleTimeout: time.Hour, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			h(w, r)
			ended <- time.Since(began)
		})}
		var serving sync.WaitGroup
		serving.Go(func() { _ = srv.Serve(ln) })
		conn, err := n.Host("caller").Dial(t.Context(), "tcp", "m:80")
		require.NoError(t, err)
		defer func() {
			_ = conn.Close()
			_ = srv.Close()
			serving.Wait()
			time.Sleep(time.Second) // net/http lingers after an answer that ends its connection
			n.Close()
		}()
		test(t, conn, ended)
	})
}

// read reads the whole body, and then does something else for long.
func read(t *testing.T, wait time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if wait > 0 {
			time.Sleep(wait)
			Renew(w)
		}
		if _, err := io.Copy(io.Discard, Body(w, r, 4<<20)); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			return
		}
		select {
		case <-time.After(time.Minute):
		case <-r.Context().Done():
			t.Error("the deadline outlives the body")
		}
	}
}

// A body that does not come is given up, and so is one that comes by drips.
func TestABodyThatDoesNotCome(t *testing.T) {
	for name, c := range map[string]struct {
		length string
		drip   time.Duration // between two bytes; 0: none comes
		wait   time.Duration // before it is read
		took   time.Duration
	}{
		"small":           {"Content-Length: 10", 0, 0, BodyPatience},
		"small, dripping": {"Content-Length: 10", 2 * time.Second, 0, BodyPatience},
		"small, late":     {"Content-Length: 10", 0, 15 * time.Second, 15*time.Second + BodyPatience},
		"large":           {"Content-Length: 1048576", 0, 0, BodyPatience},
		"large, dripping": {"Content-Length: 1048576", BodyPatience - time.Second, 0, BodyPatience + 16*time.Second},
		"of no size":      {"Transfer-Encoding: chunked", 0, 0, BodyPatience},
	} {
		t.Run(name, func(t *testing.T) {
			inServer(t, read(t, c.wait), func(t *testing.T, conn net.Conn, ended <-chan time.Duration) {
				_, err := fmt.Fprintf(conn, "PUT / HTTP/1.1\r\nHost: m\r\n%s\r\n\r\n", c.length)
				require.NoError(t, err)
				for {
					var drip <-chan time.Time
					if c.drip > 0 {
						drip = time.After(c.drip)
					}
					select {
					case took := <-ended:
						require.Equal(t, c.took, took)
						return
					case <-drip:
						_, _ = conn.Write([]byte("x"))
					}
				}
			})
		})
	}
}

// One that comes is taken, and what the handler does then takes as long as it takes.
func TestABodyThatComes(t *testing.T) {
	for _, size := range []int{0, 10, 1 << 20} {
		inServer(t, read(t, 0), func(t *testing.T, conn net.Conn, ended <-chan time.Duration) {
			in := bufio.NewReader(conn)
			for range 2 {
				_, err := fmt.Fprintf(conn, "PUT / HTTP/1.1\r\nHost: m\r\nContent-Length: %d\r\n\r\n", size)
				require.NoError(t, err)
				for sent := 0; sent < size; sent += (size + 2) / 3 {
					time.Sleep(3 * time.Second)
					_, err = conn.Write(make([]byte, min((size+2)/3, size-sent)))
					require.NoError(t, err)
				}
				_, err = http.ReadResponse(in, nil)
				require.NoError(t, err)
				require.GreaterOrEqual(t, <-ended, time.Minute)
				time.Sleep(time.Minute)
			}
		})
	}
}

// What was read before is read again without a deadline.
func TestABodyThatIsHere(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 1<<20)
	inServer(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, Body(w, r, 4<<20)); err != nil {
			t.Error(err)
		}
		r.Body = Whole(body)
		read(t, 0)(w, r)
	}, func(t *testing.T, conn net.Conn, ended <-chan time.Duration) {
		_, err := fmt.Fprintf(conn, "PUT / HTTP/1.1\r\nHost: m\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		require.NoError(t, err)
		require.Equal(t, time.Minute, <-ended)
	})
}

// A long answer that nobody takes is given up; one that is taken slowly is whole.
func TestAnAnswerThatNobodyTakes(t *testing.T) {
	const size = 1 << 20
	answer := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(Answer(w, size), strings.Repeat("x", size))
	}
	inServer(t, answer, func(t *testing.T, conn net.Conn, ended <-chan time.Duration) {
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: m\r\n\r\n")
		require.NoError(t, err)
		require.Equal(t, AnswerPatience, <-ended)
	})
	inServer(t, answer, func(t *testing.T, conn net.Conn, ended <-chan time.Duration) {
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: m\r\n\r\n")
		require.NoError(t, err)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		got := 0
		for err == nil {
			time.Sleep(AnswerPatience - time.Second)
			var n int
			n, err = io.ReadFull(res.Body, make([]byte, 2*AnswerPiece))
			got += n
		}
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, size, got)
		<-ended
	})
}

// What knows no deadlines is written to as it is.
func TestAnAnswerWithoutDeadlines(t *testing.T) {
	w := httptest.NewRecorder()
	require.Equal(t, http.ResponseWriter(w), Answer(w, 10))
	require.Equal(t, http.ResponseWriter(w), Answer(w, -1))
}
