package httpapi

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

func TestUnknownPathsAndMethods(t *testing.T) {
	n := newNode(t)
	for _, target := range []string{"/v1", "/v1/kvx", "/v2/state", "/v1%2Fstate", "/v1/kv%2Fa", "/%761/state", "//v1/state", "/v1/state/"} {
		refused(t, n.do("GET", target, ""), http.StatusNotFound, problem.NotFound, "there is nothing at")
	}
	for target, allow := range map[string][]string{
		"/v1/state":  {"GET", "HEAD", "PATCH"},
		"/v1/kv":     {"GET", "HEAD"},
		"/v1/kv/a/b": {"GET", "HEAD", "PUT", "DELETE"},
		"/v1/kv/%2F": {"GET", "HEAD", "PUT", "DELETE"},
		"/health":    {"GET", "HEAD"},
		"/v1/kill":   {"POST"},
		"/metrics":   {"GET"},
	} {
		for _, method := range []string{"OPTIONS", "BREW"} {
			w := n.do(method, target, "")
			refused(t, w, http.StatusMethodNotAllowed, problem.BadRequest, "method "+method+" is not for "+target)
			require.Equal(t, allow, w.Header().Values("Allow"), target)
		}
	}
	refused(t, n.do("POST", "/v1/kv/a", ""), http.StatusMethodNotAllowed, problem.BadRequest, "method POST")
	refused(t, n.do("BREW", "/nowhere", ""), http.StatusNotFound, problem.NotFound, "there is nothing at")
	require.Equal(t, "metrics", n.do("GET", "/metrics", "").Body.String())
	require.Zero(t, n.writes)
}

func TestForeignOriginsAreRefused(t *testing.T) {
	calls := map[string]string{"PUT": "/v1/kv/a", "DELETE": "/v1/kv/a", "PATCH": "/v1/state", "POST": "/v1/kill"}
	for method, target := range calls {
		n := newNode(t, set("a", "1"))
		for _, header := range []string{
			"Origin: http://evil.example", "Origin: null", "Origin: http://example.com:81", "Origin: ::", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site",
		} {
			w := n.do(method, target, `{"a":"2"}`, header)
			refused(t, w, http.StatusForbidden, problem.Forbidden, "the request comes from a web page of another origin")
		}
		require.Zero(t, n.writes)
		require.False(t, n.killed)
		w := n.do(method, target, `{"a":"2"}`, "Origin: http://example.com") // the recorder's Host
		require.Less(t, w.Code, 300, w.Body)
	}
	n := newNode(t, set("a", "1"))
	require.Equal(t, http.StatusOK, n.do("GET", "/v1/kv/a", "", "Origin: http://evil.example").Code, "a read changes nothing")
}

func TestStandbySendsClientsToThePrimary(t *testing.T) {
	for _, tc := range []struct{ method, target, body string }{
		{"GET", "/v1/state", ""},
		{"GET", "/v1/kv?prefix=a%2Fb&limit=3", ""},
		{"GET", "/v1/kv//a/../b%2Fc%3F", ""},
		{"HEAD", "/v1/kv/a", ""},
		{"PUT", "/v1/kv/a%20b", "x"},
		{"DELETE", "/v1/kv/a", ""},
		{"PATCH", "/v1/state", "{}"},
	} {
		n := newNode(t, set("a", "1"))
		n.becomeStandby()
		w := n.do(tc.method, tc.target, tc.body)
		require.Equal(t, http.StatusTemporaryRedirect, w.Code, tc)
		require.Equal(t, "http://10.0.0.2:8082"+tc.target, w.Header().Get("Location"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Equal(t, "app1", w.Header().Get(wire.HeaderNode))
		require.Empty(t, w.Body.String())
	}
}

func TestStandbyAnswersWhatItMay(t *testing.T) {
	n := newNode(t, set("a", "1"))
	n.becomeStandby()
	for _, level := range []string{"session", "stale"} {
		require.Equal(t, "1", n.do("GET", "/v1/kv/a", "", wire.HeaderConsistency+": "+level).Body.String())
		require.JSONEq(t, `{"a":"1"}`, n.do("GET", "/v1/state", "", wire.HeaderConsistency+": "+level).Body.String())
	}
}

func TestNoPrimaryIsKnown(t *testing.T) {
	for _, address := range []string{"", "10.0.0.1:8081"} { // none, and the node itself
		n := newNode(t)
		n.becomeStandby()
		n.primary = address
		w := n.do("PUT", "/v1/kv/a", "x")
		refused(t, w, http.StatusServiceUnavailable, problem.NoPrimary, "app1 is a standby")
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		n.writeErr = problem.Errorf(problem.Fenced, "app1 was deposed")
		w = n.do("PUT", "/v1/kv/a", "x")
		refused(t, w, http.StatusServiceUnavailable, problem.Fenced, "app1 was deposed")
		require.Equal(t, "1", w.Header().Get("Retry-After"))
	}
	n := newNode(t)
	n.writeErr = &problem.Error{Code: problem.NoPrimary, Detail: "there is none", RetryAfter: time.Second}
	w := n.do("PUT", "/v1/kv/a", "x")
	refused(t, w, http.StatusServiceUnavailable, problem.NoPrimary, "there is none")
	require.Equal(t, "1", w.Header().Get("Retry-After"))
}

// Silence, or a success that is none, would be a false acknowledgement.
func TestErrorsAreNeverTakenForSuccess(t *testing.T) {
	for name, tc := range map[string]struct {
		err    error
		status int
		code   problem.Code
	}{
		"cancelled":       {context.Canceled, http.StatusGatewayTimeout, problem.OutcomeUnknown},
		"deadline":        {context.DeadlineExceeded, http.StatusGatewayTimeout, problem.OutcomeUnknown},
		"unforeseen":      {errors.New("boom"), http.StatusInternalServerError, "internal"},
		"outcome unknown": {problem.Errorf(problem.OutcomeUnknown, "unknown"), http.StatusGatewayTimeout, problem.OutcomeUnknown},
		"too few copies":  {problem.Errorf(problem.TooFewCopies, "too few"), http.StatusServiceUnavailable, problem.TooFewCopies},
		"disk full":       {problem.Errorf(problem.DiskFull, "full"), http.StatusInsufficientStorage, problem.DiskFull},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.writeErr = tc.err
			for _, c := range [][2]string{{"PUT", "/v1/kv/a"}, {"DELETE", "/v1/kv/a"}, {"PATCH", "/v1/state"}} {
				refused(t, n.do(c[0], c[1], "{}"), tc.status, tc.code, "")
			}
		})
	}
	n := newNode(t)
	n.readErr = func(store.Level) error { return context.Canceled }
	for _, target := range []string{"/v1/kv/a", "/v1/kv", "/v1/state"} {
		refused(t, n.do("GET", target, ""), http.StatusServiceUnavailable, problem.NoPrimary, "the read was ended before it was answered")
	}
}

func TestConsistency(t *testing.T) {
	pos := protocol.Position{Epoch: 3, Seq: 9}
	for _, tc := range []struct {
		headers []string
		want    []fakeRead
	}{
		{nil, []fakeRead{{level: store.Linearizable}}},
		{[]string{wire.HeaderConsistency + ": linearizable"}, []fakeRead{{level: store.Linearizable}}},
		{[]string{wire.HeaderConsistency + ": session"}, []fakeRead{{level: store.Session}}},
		{[]string{wire.HeaderConsistency + ": session", wire.HeaderPosition + ": 3.9"}, []fakeRead{{store.Session, pos}}},
		{[]string{wire.HeaderConsistency + ": stale"}, []fakeRead{{level: store.Stale}}},
		{[]string{wire.HeaderConsistency + ": stale", wire.HeaderPosition + ": 3.9"}, []fakeRead{{store.Session, pos}}},
	} {
		for _, target := range []string{"/v1/kv/a", "/v1/kv", "/v1/state"} {
			n := newNode(t, set("a", "1"))
			require.Equal(t, http.StatusOK, n.do("GET", target, "", tc.headers...).Code)
			require.Equal(t, tc.want, n.reads)
		}
	}
	for header, sentence := range map[string]string{
		wire.HeaderConsistency + ": strong": "it is linearizable, session or stale",
		wire.HeaderConsistency + ": ":       "it is linearizable, session or stale",
		wire.HeaderPosition + ": 12":        `position "12" is not of the form epoch.seq`,
	} {
		n := newNode(t)
		refused(t, n.do("GET", "/v1/state", "", header), http.StatusBadRequest, problem.BadRequest, sentence)
		twice := n.do("GET", "/v1/kv/a", "", header, header)
		require.Equal(t, http.StatusBadRequest, twice.Code)
		require.Empty(t, n.reads)
	}
}

// waiting is a replica that has not reached any position yet.
type waiting struct{ *fakeReplica }

func (f waiting) Read(ctx context.Context, level store.Level, at protocol.Position) (*store.View, error) {
	if level == store.Session {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return f.fakeReplica.Read(ctx, level, at)
}

func TestStaleReadWaitsBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, set("a", "old"))
		n.opts.Replica = waiting{n.fakeReplica}
		n.router = New(n.opts)
		begin := time.Now()
		w := n.do("GET", "/v1/kv/a", "", wire.HeaderConsistency+": stale", wire.HeaderPosition+": 3.9")
		require.Equal(t, "old", w.Body.String())
		require.Equal(t, "3.1", w.Header().Get(wire.HeaderPosition), "the answer says what it is")
		require.Equal(t, 200*time.Millisecond, time.Since(begin))
	})
}
