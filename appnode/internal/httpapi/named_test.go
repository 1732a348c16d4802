package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

const (
	someSession = "AQID_wAAAAAAAAAAAAAACQ"
	asHeader    = wire.HeaderRequest + ": " + someSession + ".1.7.5"
	asKey       = wire.HeaderKey + ": us1." + someSession + ".1.7"
)

// Every kind of write gives its first answer again, by either header.
func TestRepeatedWrites(t *testing.T) {
	for _, id := range []string{asHeader, asKey, wire.HeaderKey + ": mine"} {
		for name, tc := range map[string]struct {
			method, target, body string
			headers              []string
			status               int
		}{
			"put":          {method: "PUT", target: "/v1/kv/b", body: "2", status: 204},
			"put if":       {method: "PUT", target: "/v1/kv/a", body: "2", headers: []string{`If-Match: "3.1"`}, status: 204},
			"refused":      {method: "PUT", target: "/v1/kv/a", body: "2", headers: []string{"If-None-Match: *"}, status: 412},
			"delete":       {method: "DELETE", target: "/v1/kv/a", status: 204},
			"delete none":  {method: "DELETE", target: "/v1/kv/none", status: 404},
			"patch":        {method: "PATCH", target: "/v1/state", body: `{"a": "2", "b": null}`, status: 200},
			"patch, small": {method: "PATCH", target: "/v1/state", body: `{"a": "2"}`, headers: []string{"Prefer: return=minimal"}, status: 204},
		} {
			t.Run(name+" "+id, func(t *testing.T) {
				n := newNode(t, set("a", "1"))
				first := n.do(tc.method, tc.target, tc.body, append(tc.headers, id)...)
				require.Equal(t, tc.status, first.Code, first.Body)
				require.Empty(t, first.Header().Get(wire.HeaderRepeated))
				require.Equal(t, "3.2", first.Header().Get(wire.HeaderPosition), "a refusal tells it as well")
				n.apply(set("a", "other"), set("none", "other"), set("b", "other"))
				again := n.do(tc.method, tc.target, tc.body, append(tc.headers, id)...)
				require.Equal(t, tc.status, again.Code, again.Body)
				require.Equal(t, "true", again.Header().Get(wire.HeaderRepeated))
				require.Equal(t, first.Header().Get("ETag"), again.Header().Get("ETag"))
				require.Equal(t, "3.3", again.Header().Get(wire.HeaderPosition))
				require.Equal(t, "other", n.do("GET", "/v1/kv/a", "").Body.String())
				require.Equal(t, "other", n.do("GET", "/v1/kv/none", "").Body.String())
				if tc.status == http.StatusOK {
					require.JSONEq(t, `{"a":"other","b":"other","none":"other"}`, again.Body.String(), "the map as it is")
				}
			})
		}
	}
}

// What decides what a request does decides whether it is the same request.
func TestOtherRequestsUnderAnID(t *testing.T) {
	const id = wire.HeaderKey + ": mine"
	n := newNode(t, set("a", "1"))
	require.Equal(t, http.StatusNoContent, n.do("PUT", "/v1/kv/k", "v", id).Code)
	for name, again := range map[string]*httptest.ResponseRecorder{
		"body":          n.do("PUT", "/v1/kv/k", "w", id),
		"no body":       n.do("PUT", "/v1/kv/k", "", id),
		"method":        n.do("DELETE", "/v1/kv/k", "", id),
		"key":           n.do("PUT", "/v1/kv/kv", "", id),
		"call":          n.do("PATCH", "/v1/state", `{"k": "v"}`, id),
		"condition":     n.do("PUT", "/v1/kv/k", "v", id, "If-None-Match: *"),
		"no tags":       n.do("PUT", "/v1/kv/k", "v", id, "If-Match: "),
		"one condition": n.do("PUT", "/v1/kv/k", "v", id, "If-Match: *"),
	} {
		refused(t, again, http.StatusUnprocessableEntity, problem.IDReused, `the request id "mine" was used for another request, which record 3.2 answered`)
		require.Empty(t, again.Header().Get(wire.HeaderRepeated), name)
		require.Equal(t, "3.2", again.Header().Get(wire.HeaderPosition))
	}
	same := n.do("PUT", "/v1/kv/%6b", "v", id, "Prefer: return=minimal", "Understudy-Position: 3.1")
	require.Equal(t, http.StatusNoContent, same.Code, "another spelling of the same request")
	require.Equal(t, "true", same.Header().Get(wire.HeaderRepeated))
}

func TestMalformedIDs(t *testing.T) {
	for _, call := range []struct{ method, target, body string }{
		{"PUT", "/v1/kv/a", "2"}, {"DELETE", "/v1/kv/a", ""}, {"PATCH", "/v1/state", `{"a":"2"}`},
	} {
		for sentence, headers := range map[string][]string{
			"SESSION.BIRTH.SERIAL.LOWEST":  {wire.HeaderRequest + ": x"},
			"it has 1 to 64":               {wire.HeaderKey + ": " + strings.Repeat("k", 65)},
			"the request has two ids":      {asHeader, wire.HeaderKey + ": mine"},
			"are given at most once":       {wire.HeaderKey + ": a", wire.HeaderKey + ": b"},
			"a key that an answer named":   {wire.HeaderKey + ": us1.mine"},
			"is \"\\u00e9\": it is printa": {wire.HeaderKey + ": é"},
		} {
			n := newNode(t, set("a", "1"))
			refused(t, n.do(call.method, call.target, call.body, headers...), http.StatusBadRequest, problem.BadRequest, sentence)
			require.Zero(t, n.writes)
		}
	}
	n := newNode(t, set("a", "1"))
	require.Equal(t, http.StatusNoContent, n.do("PUT", "/v1/kv/a", "2", asHeader, asKey).Code, "both name the same")
	require.Equal(t, http.StatusOK, n.do("GET", "/v1/kv/a", "", wire.HeaderKey+": ").Code, "a read has no id")
}

func TestForgottenSession(t *testing.T) {
	n := newNode(t, set("a", "1"))
	w := n.do("PUT", "/v1/kv/a", "2", wire.HeaderRequest+": "+someSession+".0.7.5")
	refused(t, w, http.StatusConflict, problem.SessionExpired, "is not known here")
	require.Equal(t, "3.1", w.Header().Get(wire.HeaderPosition), "the next session is born there")
}

// A request that was ended by the node itself names the key to ask again.
func TestUnknownOutcomeNamesTheKey(t *testing.T) {
	n := newNode(t)
	n.writeErr = context.Canceled
	for header, key := range map[string]string{asHeader: "us1." + someSession + ".1.7", wire.HeaderKey + ": mine": "mine", "Prefer: x": ""} {
		w := n.do("PUT", "/v1/kv/a", "2", header)
		refused(t, w, http.StatusGatewayTimeout, problem.OutcomeUnknown, "the request was ended before it was answered")
		require.Equal(t, key, problem.Parse(w.Code, w.Header(), w.Body.Bytes()).Key)
	}
}

func BenchmarkFingerprint(b *testing.B) {
	r := httptest.NewRequest(http.MethodPut, "/v1/kv/user/000001/name", nil)
	r.Header.Set(wire.HeaderRequest, someSession+".1.7.5")
	body := []byte("a value of thirty-two bytes, yes")
	b.ReportAllocs()
	for b.Loop() {
		fingerprint(r, body)
	}
}
