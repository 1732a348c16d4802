package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// echo answers with the body of the request.
func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(b)
}

func TestRequestReachesTheHandlerAsItWas(t *testing.T) {
	var got *http.Request
	play(t, func(w http.ResponseWriter, r *http.Request) { got = r; echo(w, r) }, func(t *testing.T, s *scene) {
		res, err := s.Do(t.Context(), &Request{
			Method: http.MethodPut, Target: "/v1/kv/a%2Fb%20c?x=%31&y",
			Header: http.Header{"If-Match": {`"3.1"`, `"3.2"`}, wire.HeaderRequest: {"id"}, "Content-Type": {""}, "Cookie": {"secret"}},
			Body:   []byte("value"),
		})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.Status)
		require.Equal(t, "value", string(res.Body))
		require.Nil(t, res.Rest)
		require.Equal(t, http.MethodPut, got.Method)
		require.Equal(t, "/v1/kv/a/b c", got.URL.Path)
		require.Equal(t, "/v1/kv/a%2Fb%20c", got.URL.EscapedPath())
		require.Equal(t, "x=%31&y", got.URL.RawQuery)
		require.Equal(t, "/v1/kv/a%2Fb%20c?x=%31&y", got.RequestURI)
		require.Equal(t, http.Header{"If-Match": {`"3.1"`, `"3.2"`}, wire.HeaderRequest: {"id"}, "Content-Type": {""}}, got.Header)
		require.EqualValues(t, 5, got.ContentLength)
		require.Equal(t, address, got.Host)
		require.NotEmpty(t, got.RemoteAddr)
		synctest.Wait()
		require.ErrorIs(t, got.Context().Err(), context.Canceled, "ended with the handler")
	})
}

func TestBodiesOfAllSizes(t *testing.T) {
	sizes := []int{0, 1, maxInline, maxInline + 1, maxPart - 1, maxPart, maxPart + 1, 3*maxPart + 7, FirstPart - 1, FirstPart, FirstPart + 1, MaxBody}
	play(t, echo, func(t *testing.T, s *scene) {
		for _, n := range sizes {
			body := pattern(n)
			res, err := s.Do(t.Context(), &Request{Method: http.MethodPut, Target: "/", Body: body})
			require.NoError(t, err, n)
			require.LessOrEqual(t, len(res.Body), FirstPart)
			require.True(t, n > FirstPart || res.Rest == nil || n == FirstPart, "%d bytes need no rest", n)
			require.Equal(t, body, append([]byte{}, whole(t, res)...), n)
		}
	})
}

func TestTargetThatIsNone(t *testing.T) {
	play(t, echo, func(t *testing.T, s *scene) {
		res, err := s.get("v1/kv/a")
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, res.Status)
		require.Equal(t, problem.BadRequest, problem.Parse(res.Status, res.Header, res.Body).Code)
	})
}

func TestRequestsThatCannotTravel(t *testing.T) {
	play(t, echo, func(t *testing.T, s *scene) {
		for why, r := range map[string]*Request{
			"the body has 8388609 bytes":          {Method: "PUT", Target: "/", Body: make([]byte, MaxBody+1)},
			"the target has 16385 bytes":          {Method: "GET", Target: "/" + strings.Repeat("x", MaxTarget)},
			"the headers are over 255 values":     {Method: "GET", Target: "/", Header: http.Header{"If-Match": make([]string, 256)}},
			"the headers are over 255 values or ": {Method: "GET", Target: "/", Header: http.Header{"If-Match": {strings.Repeat("x", MaxHead)}}},
		} {
			_, err := s.Do(t.Context(), r)
			require.ErrorIs(t, err, ErrNotSent)
			require.ErrorContains(t, err, why)
		}
		_, err := s.get("/")
		require.NoError(t, err)
	})
}

// Answers come as they are ready, not in the order of the requests.
func TestAnswersInAnyOrder(t *testing.T) {
	const n = 50
	var release [n]chan struct{}
	play(t, func(w http.ResponseWriter, r *http.Request) {
		i, _ := strconv.Atoi(r.URL.Path[1:])
		<-release[i]
		_, _ = fmt.Fprint(w, i)
	}, func(t *testing.T, s *scene) {
		answered := make(chan int, n)
		var wait sync.WaitGroup
		for i := range n {
			release[i] = make(chan struct{})
			wait.Go(func() {
				res, err := s.get(fmt.Sprintf("/%d", i))
				require.NoError(t, err)
				require.Equal(t, strconv.Itoa(i), string(res.Body))
				answered <- i
			})
			if i == 0 {
				synctest.Wait() // who comes while one is in flight has the other connection made
			}
		}
		synctest.Wait()
		for i := n - 1; i >= 0; i-- {
			close(release[i])
			require.Equal(t, i, <-answered)
		}
		wait.Wait()
		require.Equal(t, defaultConns, s.net.Open(), "all on the connections that the client may have")
	})
}

func TestLoneCallerUsesOneConnection(t *testing.T) {
	play(t, echo, func(t *testing.T, s *scene) {
		for range 5 {
			_, err := s.get("/")
			require.NoError(t, err)
		}
		require.Equal(t, 1, s.net.Open())
	})
}

// The handler may use whatever a ResponseController offers, and is told that
// there is nothing.
func TestWriterOffersNothingMore(t *testing.T) {
	play(t, func(w http.ResponseWriter, _ *http.Request) {
		rc := http.NewResponseController(w)
		_, _, hijack := rc.Hijack()
		for _, err := range []error{rc.Flush(), rc.SetReadDeadline(time.Now()), rc.SetWriteDeadline(time.Now()), rc.EnableFullDuplex(), hijack} {
			if !errors.Is(err, http.ErrNotSupported) {
				panic(err)
			}
		}
	}, func(t *testing.T, s *scene) {
		_, err := s.get("/")
		require.NoError(t, err)
	})
}

func TestUpgradeToSomethingElseIsRefused(t *testing.T) {
	w := httptest.NewRecorder()
	NewServer(http.NotFoundHandler(), ServerOptions{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, Path, nil))
	require.Equal(t, problem.UnsupportedVersion, problem.Parse(w.Code, w.Header(), w.Body.Bytes()).Code)
}

// A router notes in a request's context what it has matched, and goes by such a
// note where it finds one.
func TestRequestsDoNotSeeTheContextOfTheUpgrade(t *testing.T) {
	type key struct{}
	links := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(key{}) == nil {
			w.WriteHeader(http.StatusNoContent)
		}
	}), ServerOptions{})
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		links.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, "matched")))
	}))
	defer node.Close()
	defer links.Close()
	c := NewClient(ClientOptions{Dial: new(net.Dialer).DialContext, Address: node.Listener.Addr().String()})
	defer c.Close()
	res, err := c.Do(t.Context(), &Request{Method: http.MethodPut, Target: "/v1/kv/a"})
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, res.Status)
}

func TestTargetsAreParsedAsTheLibraryDoes(t *testing.T) {
	for _, target := range []string{"/", "/v1/kv/a", "//a/b", "/v1/kv/a%2Fb", "/v1/kv/a b", "/v1/kv?prefix=a&limit=1", "/v1/kv/~a-b_c.d", "/v1/kv/é", "/a?"} {
		want, err := url.ParseRequestURI(target)
		require.NoError(t, err, target)
		got, err := parseTarget(target)
		require.NoError(t, err, target)
		require.Equal(t, want, got, target)
	}
	for _, target := range []string{"", "v1", "/%zz", "*x"} {
		_, err := parseTarget(target)
		require.Error(t, err, target)
	}
}
