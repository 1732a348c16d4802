package call

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

func serve(t *testing.T, h http.HandlerFunc) *HTTP {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c := NewHTTP(At(strings.TrimPrefix(srv.URL, "http://")), 5*time.Second)
	t.Cleanup(c.Close)
	return c
}

func TestARequestArrivesWhole(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("ETag", `"1.7"`)
		for _, name := range []string{"If-Match", "If-None-Match", wire.HeaderKey, wire.HeaderConsistency} {
			_, _ = io.WriteString(w, name+"="+r.Header.Get(name)+" ")
		}
		_, _ = io.WriteString(w, r.Method+" "+r.URL.EscapedPath()+" "+string(body))
	})
	a := c.Call(t.Context(), Request{Method: http.MethodPut, Key: "a/b c", Match: `"1.2"`, ID: "id-1", Body: []byte("v")})
	require.True(t, a.Success())
	require.Equal(t, `"1.7"`, a.ETag)
	require.Empty(t, a.Code)
	require.Equal(t, `If-Match="1.2" If-None-Match= Idempotency-Key=id-1 Understudy-Consistency= PUT /v1/kv/a%2Fb%20c v`, string(a.Body))
	a = c.Call(t.Context(), Request{Method: http.MethodGet, Key: "k", Absent: true, Stale: true})
	require.Equal(t, `If-Match= If-None-Match=* Idempotency-Key= Understudy-Consistency=stale GET /v1/kv/k `, string(a.Body))
}

func TestAnswersThatAreNoSuccess(t *testing.T) {
	unknown := problem.Errorf(problem.OutcomeUnknown, "who knows")
	unknown.Key = "us1.x"
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    Answer
	}{
		"refused": {
			func(w http.ResponseWriter, _ *http.Request) {
				problem.Write(w, problem.Errorf(problem.NoPrimary, "later"))
			},
			Answer{Status: 503, Code: "no_primary", Detail: "later"},
		},
		"unknown": {
			func(w http.ResponseWriter, _ *http.Request) { problem.Write(w, unknown) },
			Answer{Status: 504, Code: "outcome_unknown", Detail: "who knows", Key: "us1.x", Sent: true},
		},
		"condition": {
			func(w http.ResponseWriter, _ *http.Request) {
				problem.Write(w, problem.Errorf(problem.PreconditionFailed, "no"))
			},
			Answer{Status: 412, Code: "precondition_failed", Detail: "no"},
		},
		"no document": {
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
			Answer{Status: 500, Code: "http_500", Detail: "the server answered 500: ", Sent: true},
		},
		"redirect": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://elsewhere/")
				w.WriteHeader(http.StatusTemporaryRedirect)
			},
			Answer{Status: 307, Code: "not_primary", Detail: "the node is a standby"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := serve(t, c.handler).Call(t.Context(), Request{Method: http.MethodGet, Key: "k"})
			a.Body = nil
			require.Equal(t, c.want, a)
			require.False(t, a.Success())
		})
	}
}

func TestABrokenConnectionIsMadeAnew(t *testing.T) {
	requests := 0
	c := serve(t, func(_ http.ResponseWriter, _ *http.Request) {
		if requests++; requests == 1 {
			panic(http.ErrAbortHandler)
		}
	})
	a := c.Call(t.Context(), Request{Method: http.MethodGet, Key: "k"})
	require.Equal(t, NoAnswer, a.Code)
	require.True(t, a.Sent)
	require.True(t, c.Call(t.Context(), Request{Method: http.MethodGet, Key: "k"}).Success())
}

func TestARefusalAsksForTheTargetAgain(t *testing.T) {
	ok := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer ok.Close()
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.Errorf(problem.NotPrimary, "no"))
	}))
	defer busy.Close()
	next := []string{busy.URL, ok.URL}
	c := NewHTTP(func(context.Context) (string, error) {
		url := next[0]
		next = next[1:]
		return strings.TrimPrefix(url, "http://"), nil
	}, time.Second)
	defer c.Close()
	require.Equal(t, "not_primary", c.Call(t.Context(), Request{Method: http.MethodGet}).Code)
	require.True(t, c.Call(t.Context(), Request{Method: http.MethodGet}).Success())
	require.True(t, c.Call(t.Context(), Request{Method: http.MethodGet}).Success())
}

func TestNoConnection(t *testing.T) {
	for _, target := range []func(context.Context) (string, error){
		At("127.0.0.1:1"),
		func(context.Context) (string, error) { return "", errors.New("nobody is named") },
	} {
		c := NewHTTP(target, time.Second)
		a := c.Call(t.Context(), Request{Method: http.MethodGet})
		require.Equal(t, NoConnection, a.Code)
		require.NotEmpty(t, a.Detail)
		require.False(t, a.Sent)
		c.Close()
	}
}
