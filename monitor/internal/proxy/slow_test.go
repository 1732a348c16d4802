package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/caller"
	"understudy.example/pkg/link"
	"understudy.example/pkg/memnet"
	"understudy.example/pkg/problem"
)

// inServer runs a test in a bubble, with a connection to an HTTP server of h.
func inServer(t *testing.T, h func(t *testing.T) http.Handler, test func(t *testing.T, conn net.Conn, in *bufio.Reader)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		ln, err := n.Host("m").Listen(t.Context(), "m:80")
		require.NoError(t, err)
		srv := &http.Server{Handler: h(t), ReadHeaderTimeout: time.Second, ReadTimeout: caller.BodyPatience, IdleTimeout: time.Hour}
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
		test(t, conn, bufio.NewReader(conn))
	})
}

// A caller who sends no more of a body keeps its room from the others for a while
// only, and so does one who sends it by drips.
func TestABodyThatDoesNotComeIsGivenUp(t *testing.T) {
	const size = 1 << 20
	for name, c := range map[string]struct {
		drip  time.Duration // between two bytes
		after time.Duration
	}{
		"silent":   {time.Hour, caller.BodyPatience},
		"dripping": {caller.BodyPatience - time.Second, caller.BodyPatience + size/caller.BodyRate*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var p *Proxy
			inServer(t, func(t *testing.T) http.Handler {
				p = alone(t)
				return p
			}, func(t *testing.T, conn net.Conn, in *bufio.Reader) {
				_, err := fmt.Fprintf(conn, "PUT /v1/kv/k HTTP/1.1\r\nHost: m\r\nContent-Length: %d\r\n\r\n", size)
				require.NoError(t, err)
				synctest.Wait()
				require.EqualValues(t, size, p.admission.bytes.Load())
				began := time.Now()
				over := make(chan struct{})
				var dripping sync.WaitGroup
				dripping.Go(func() {
					for {
						select {
						case <-over:
							return
						case <-time.After(c.drip):
							_, _ = conn.Write([]byte("x"))
						}
					}
				})
				res, err := http.ReadResponse(in, nil)
				require.NoError(t, err)
				require.Equal(t, c.after, time.Since(began))
				body, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.Equal(t, http.StatusBadRequest, res.StatusCode)
				require.Contains(t, string(body), problem.BadRequest)
				close(over)
				dripping.Wait()
				require.Zero(t, p.admission.bytes.Load())
				require.Zero(t, p.admission.requests.Load())
			})
		})
	}
}

// The patience is with the body alone: the connection may rest after it.
func TestABodyThatComesSlowlyIsTaken(t *testing.T) {
	inServer(t, func(t *testing.T) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := readBody(w, r)
			if err != nil {
				problem.Write(w, err)
				return
			}
			select {
			case <-time.After(2 * caller.BodyPatience):
				_, _ = w.Write(body)
			case <-r.Context().Done():
			}
		})
	}, func(t *testing.T, conn net.Conn, in *bufio.Reader) {
		for range 2 {
			_, err := io.WriteString(conn, "PUT /v1/kv/k HTTP/1.1\r\nHost: m\r\nContent-Length: 2\r\n\r\na")
			require.NoError(t, err)
			time.Sleep(caller.BodyPatience - time.Second)
			_, err = io.WriteString(conn, "b")
			require.NoError(t, err)
			res, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, "ab", string(body))
			time.Sleep(2 * caller.BodyPatience)
		}
	})
}

// passes answers every request with so many bytes, of which those beyond the first
// MiB are a rest. The end of each is told.
func passes(size int, ended chan<- time.Duration) func(t *testing.T) http.Handler {
	return func(t *testing.T) http.Handler {
		p := alone(t)
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			began := time.Now()
			defer func() { ended <- time.Since(began) }()
			res := &link.Response{Status: http.StatusOK, Header: http.Header{}, Body: make([]byte, min(size, link.FirstPart))}
			if size > link.FirstPart {
				res.Rest = io.NopCloser(strings.NewReader(strings.Repeat("x", size-link.FirstPart)))
			}
			_ = p.pass(w, res)
		})
	}
}

// A caller who reads nothing of a long answer does not keep it for ever.
func TestAnAnswerThatNobodyTakesIsGivenUp(t *testing.T) {
	for _, size := range []int{link.FirstPart, 2 * link.FirstPart} {
		ended := make(chan time.Duration, 1)
		inServer(t, passes(size, ended), func(t *testing.T, conn net.Conn, _ *bufio.Reader) {
			_, err := io.WriteString(conn, "GET /v1/state HTTP/1.1\r\nHost: m\r\n\r\n")
			require.NoError(t, err)
			time.Sleep(caller.AnswerPatience + time.Second)
			select {
			case took := <-ended:
				require.Equal(t, caller.AnswerPatience, took)
			default:
				require.Fail(t, "it waits")
			}
		})
	}
}

// One who reads slowly gets all of it, and the connection may rest afterwards.
func TestAnAnswerThatIsTakenSlowlyIsWhole(t *testing.T) {
	const size = 2 * link.FirstPart
	ended := make(chan time.Duration, 1)
	inServer(t, passes(size, ended), func(t *testing.T, conn net.Conn, in *bufio.Reader) {
		for range 2 {
			_, err := io.WriteString(conn, "GET /v1/state HTTP/1.1\r\nHost: m\r\n\r\n")
			require.NoError(t, err)
			res, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			got := 0
			for err == nil {
				time.Sleep(caller.AnswerPatience - time.Second)
				var n int
				n, err = io.ReadFull(res.Body, make([]byte, 2*caller.AnswerPiece))
				got += n
			}
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, size, got)
			<-ended
			time.Sleep(2 * caller.AnswerPatience)
		}
	})
}
