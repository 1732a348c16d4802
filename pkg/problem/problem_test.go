package problem

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// documented is the list of codes of the client API's documentation.
var documented = []Code{
	"bad_request", "not_updatable", "too_large", "precondition_failed", "id_reused", "session_expired", "spans_groups",
	"not_primary", "fenced", "no_primary", "no_leader", "too_few_copies", "disk_full", "overloaded", "outcome_unknown",
	"compacted", "history_lost", "would_lose_data", "stale_version", "wrong_cluster", "duplicate_node",
	"registry_behind", "forbidden", "unsupported_version",
}

func TestEveryDocumentedCodeHasAMeaning(t *testing.T) {
	codes := Codes()
	for _, c := range documented {
		require.Contains(t, codes, c)
	}
	for _, c := range []Code{NotFound, OutOfMemory} {
		require.Contains(t, codes, c)
		delete(codes, c)
	}
	require.Len(t, codes, len(documented), "a code was added or removed: bring the documentation along")
}

func TestCodesReturnsACopy(t *testing.T) {
	delete(Codes(), BadRequest)
	require.Contains(t, Codes(), BadRequest)
}

func TestMeaningsAgreeWithThemselves(t *testing.T) {
	for c, m := range Codes() {
		t.Run(string(c), func(t *testing.T) {
			require.NotEmpty(t, m.Title)
			require.NotEmpty(t, http.StatusText(m.Status))
			require.GreaterOrEqual(t, m.Status, 400)
			require.Equal(t, m, c.Meaning())
			require.Contains(t, []int{ExitFailed, ExitUnavailable, ExitRefused}, m.Exit)
			if m.Retryable {
				require.GreaterOrEqual(t, m.Status, 500, "what is wrong with the request itself stays wrong")
				require.Equal(t, ExitUnavailable, m.Exit)
			}
			switch m.Status {
			case http.StatusServiceUnavailable:
				require.True(t, m.Retryable, "503 invites to come back")
			case http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity:
				require.Equal(t, ExitRefused, m.Exit)
			}
		})
	}
}

func TestUnknownCodeIsNotRetried(t *testing.T) {
	m := Code("made_up").Meaning()
	require.Equal(t, http.StatusInternalServerError, m.Status)
	require.False(t, m.Retryable)
	require.Equal(t, ExitFailed, m.Exit)
}

func TestOutcomeUnknownIsNotRetriedBlindly(t *testing.T) {
	require.False(t, OutcomeUnknown.Meaning().Retryable)
	require.Equal(t, http.StatusGatewayTimeout, OutcomeUnknown.Meaning().Status)
}

func TestCodeOf(t *testing.T) {
	err := fmt.Errorf("put a: %w", Errorf(NotPrimary, "%s is a standby", "app2"))
	require.EqualError(t, err, "put a: app2 is a standby")
	require.Equal(t, NotPrimary, CodeOf(err))
	require.Empty(t, CodeOf(errors.New("plain")))
	require.Empty(t, CodeOf(nil))
}

func TestWriteThenParse(t *testing.T) {
	for name, c := range map[string]struct {
		err        error
		status     int
		want       *Error
		retryAfter string
	}{
		"coded":       {Errorf(TooFewCopies, "1 of 2"), 503, &Error{Code: TooFewCopies, Detail: "1 of 2"}, ""},
		"wrapped":     {fmt.Errorf("get: %w", Errorf(Compacted, "gone")), 410, &Error{Code: Compacted, Detail: "gone"}, ""},
		"retry after": {&Error{Code: Overloaded, Detail: "busy", RetryAfter: 3 * time.Second}, 503, &Error{Code: Overloaded, Detail: "busy", RetryAfter: 3 * time.Second}, "3"},
		"rounded up":  {&Error{Code: Overloaded, Detail: "busy", RetryAfter: 1200 * time.Millisecond}, 503, &Error{Code: Overloaded, Detail: "busy", RetryAfter: 2 * time.Second}, "2"},
		"no code":     {errors.New("broken"), 500, &Error{Code: "internal", Detail: "broken"}, ""},
		"of no list":  {Errorf("other", "odd"), 500, &Error{Code: "other", Detail: "odd"}, ""},
		"with a key":  {&Error{Code: OutcomeUnknown, Detail: "cut", Key: "k 1"}, 504, &Error{Code: OutcomeUnknown, Detail: "cut", Key: "k 1"}, ""},
		"escaped":     {Errorf(BadRequest, "\"<\x00é"), 400, &Error{Code: BadRequest, Detail: "\"<\x00é"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			Write(rec, c.err)
			require.Equal(t, c.status, rec.Code)
			require.Equal(t, ContentType, rec.Header().Get("Content-Type"))
			require.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
			require.Equal(t, c.retryAfter, rec.Header().Get("Retry-After"))
			require.Equal(t, c.want, Parse(rec.Code, rec.Header(), rec.Body.Bytes()))
		})
	}
}

func TestWriteBody(t *testing.T) {
	rec := httptest.NewRecorder()
	Write(rec, Errorf(NotPrimary, "app2 is a standby"))
	require.JSONEq(t, `{"type":"about:blank","title":"this node is not the primary","status":503,
		"code":"not_primary","retryable":true,"detail":"app2 is a standby"}`, rec.Body.String())
}

func TestParseOfAnythingElse(t *testing.T) {
	for name, c := range map[string]struct {
		body, detail string
	}{
		"empty":       {"", "the server answered 502: "},
		"html":        {"<h1>Bad Gateway</h1>", "the server answered 502: <h1>Bad Gateway</h1>"},
		"other json":  {`{"error":"x"}`, `the server answered 502: {"error":"x"}`},
		"wrong shape": {`{"code":7}`, `the server answered 502: {"code":7}`},
		"cut short":   {string(make([]byte, 300)), "the server answered 502: " + string(make([]byte, 200))},
	} {
		t.Run(name, func(t *testing.T) {
			e := Parse(http.StatusBadGateway, http.Header{"Retry-After": {"5"}}, []byte(c.body))
			require.Equal(t, &Error{Code: "http_502", Detail: c.detail}, e)
			require.False(t, e.Code.Meaning().Retryable)
		})
	}
}

func TestParseIgnoresAnOddRetryAfter(t *testing.T) {
	for _, v := range []string{"", "-1", "0", "soon", "9223372037", "Fri, 01 Jan 2027 00:00:00 GMT"} {
		e := Parse(503, http.Header{"Retry-After": {v}}, []byte(`{"code":"overloaded"}`))
		require.Zero(t, e.RetryAfter, v)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(503, "1", []byte(`{"code":"not_primary","detail":"x"}`))
	f.Add(500, "", []byte(`<html>`))
	f.Add(200, "9223372037", []byte(`{"code":""}`))
	f.Fuzz(func(t *testing.T, status int, after string, body []byte) {
		e := Parse(status, http.Header{"Retry-After": {after}}, body)
		require.NotEmpty(t, e.Code)
		require.GreaterOrEqual(t, e.RetryAfter, time.Duration(0))
	})
}
