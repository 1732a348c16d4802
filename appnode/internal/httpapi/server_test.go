package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
)

// Over a real connection, where the server may clean, sniff and cut.
func TestOverAConnection(t *testing.T) {
	n := newNode(t)
	srv := httptest.NewServer(n.router)
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	in := bufio.NewReader(conn)
	send := func(method, target, body string) *http.Response {
		_, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", method, target, len(body), body)
		require.NoError(t, err)
		answer, err := http.ReadResponse(in, &http.Request{Method: method})
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer
	}
	for _, key := range []string{"/", "a/../b", "./a", "//x//", "%2e%2e/%2F"} {
		require.Equal(t, http.StatusNoContent, send("PUT", "/v1/kv/"+key, "<html>value").StatusCode, key)
		got := send("GET", "/v1/kv/"+key, "")
		require.Equal(t, http.StatusOK, got.StatusCode)
		require.EqualValues(t, 11, got.ContentLength)
		require.Equal(t, "application/octet-stream", got.Header.Get("Content-Type"))
		head := send("HEAD", "/v1/kv/"+key, "")
		require.EqualValues(t, 11, head.ContentLength)
		require.Equal(t, got.Header.Get("ETag"), head.Header.Get("ETag"))
	}
	require.Equal(t, 5, n.m.Len())
	_, ok := n.m.Get("..//")
	require.True(t, ok)
	missing := send("HEAD", "/v1/kv/absent", "")
	require.Equal(t, http.StatusNotFound, missing.StatusCode)
	require.Equal(t, http.StatusOK, send("HEAD", "/v1/state", "").StatusCode)
}

func TestTooLargeIsAnsweredBeforeTheBodyIsSent(t *testing.T) {
	srv := httptest.NewServer(newNode(t).router)
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", store.MaxValue+1)
	require.NoError(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusRequestEntityTooLarge, answer.StatusCode)
}

// The answer must be with the client before the process ends.
func TestKillAnswersFirst(t *testing.T) {
	n := newNode(t)
	ended, release := make(chan struct{}), make(chan struct{})
	n.opts.Kill = func() { close(ended); <-release }
	srv := httptest.NewServer(New(n.opts))
	defer srv.Close()
	defer close(release)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/v1/kill", nil)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusAccepted, answer.StatusCode)
	<-ended
	var body strings.Builder
	_, err = bufio.NewReader(answer.Body).WriteTo(&body) // Content-Length ends it while Kill has not returned
	require.NoError(t, err)
	require.JSONEq(t, `{"node": "app1"}`, body.String())
}

// A client that sends its write to a standby finds the primary by itself.
func TestRedirectedWriteArrivesWhole(t *testing.T) {
	primary := newNode(t)
	first := httptest.NewServer(primary.router)
	defer first.Close()
	standby := newNode(t)
	standby.becomeStandby()
	standby.primary = first.Listener.Addr().String()
	second := httptest.NewServer(standby.router)
	defer second.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, second.URL+"/v1/kv//a%2F../%3F", strings.NewReader("value"))
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusNoContent, answer.StatusCode)
	e, ok := primary.m.Get("/a/../?")
	require.True(t, ok)
	require.Equal(t, "value", e.Value)
	require.Zero(t, standby.m.Len())
}

func TestErrorsOfTheWireAreProblems(t *testing.T) {
	n := newNode(t)
	srv := httptest.NewServer(n.router)
	defer srv.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, srv.URL+"/v1/state", strings.NewReader(`{"a": 1}`))
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	e := problem.Parse(answer.StatusCode, answer.Header, body)
	require.Equal(t, problem.BadRequest, e.Code)
	require.ErrorContains(t, e, `the value of key "a" is a number`)
}
