package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

func TestGetState(t *testing.T) {
	n := newNode(t, set("name", "Ada"), set("id", "1"), set("raw", "\xff"))
	w := n.do("GET", "/v1/state", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"id":"1","name":"Ada","raw":{"base64":"/w=="}}`, w.Body.String())
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "3.3", w.Header().Get(wire.HeaderPosition))
	require.Equal(t, "app1", w.Header().Get(wire.HeaderNode))
	require.Equal(t, "47", w.Header().Get("Content-Length"))
}

func TestLargeStateIsStreamed(t *testing.T) {
	n := newNode(t)
	for key := range strings.SplitSeq("ab", "") {
		n.apply(set(key, strings.Repeat(key, store.MaxValue)))
	}
	w := n.do("GET", "/v1/state", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, w.Header().Get("Content-Length"))
	var got map[string]string
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Len(t, got, 2)
	require.Len(t, got["b"], store.MaxValue)
}

func TestPatchState(t *testing.T) {
	for _, kind := range []string{"", "application/json", "application/merge-patch+json; charset=utf-8"} {
		n := newNode(t, set("name", "Ada"), set("gone", "x"))
		var headers []string
		if kind != "" {
			headers = []string{"Content-Type: " + kind}
		}
		w := n.do("PATCH", "/v1/state", `{"name": "Grace", "gone": null, "absent": null, "new": ""}`, headers...)
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.JSONEq(t, `{"name":"Grace","new":""}`, w.Body.String())
		require.Equal(t, "2", w.Header().Get(wire.HeaderCopies))
		require.Equal(t, "3.3", w.Header().Get(wire.HeaderPosition))
	}
	n := newNode(t, set("a", "1"))
	w := n.do("PATCH", "/v1/state", `{"absent": null}`)
	require.Equal(t, http.StatusOK, w.Code, "a patch without effect is no error")
	require.JSONEq(t, `{"a":"1"}`, w.Body.String())
}

func TestPreferMinimal(t *testing.T) {
	for header, applied := range map[string]bool{
		"return=minimal":                true,
		"respond-async, Return=Minimal": true,
		"return=minimal; x=y":           true,
		"return=representation":         false,
		"return=minimalist":             false,
	} {
		n := newNode(t)
		w := n.do("PATCH", "/v1/state", `{"a":"1"}`, "Prefer: "+header)
		require.Equal(t, 1, n.m.Len())
		if !applied {
			require.Equal(t, http.StatusOK, w.Code)
			require.Empty(t, w.Header().Get("Preference-Applied"))
			continue
		}
		require.Equal(t, http.StatusNoContent, w.Code)
		require.Equal(t, "return=minimal", w.Header().Get("Preference-Applied"))
		require.Empty(t, w.Body.String())
		require.Equal(t, "2", w.Header().Get(wire.HeaderCopies))
	}
}

func TestPatchesThatAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		body, header, query string
		sentence            string
	}{
		"empty":          {"", "", "", "it is the end: a JSON object is wanted"},
		"number":         {`{"age": 41}`, "", "", `the value of key "age" is a number: a value is a string in double quotes, or null to delete the key`},
		"object":         {`{"a": {"b": "c"}}`, "", "", `the value of key "a" is an object`},
		"array":          {`[{"a": "b"}]`, "", "", "it is an array: a JSON object is wanted"},
		"twice":          {`{"a": "1", "a": "2"}`, "", "", `key "a" is given twice`},
		"trailing":       {`{"a": "1"} x`, "", "", "follows the JSON object"},
		"empty key":      {`{"": "1"}`, "", "", "the key is empty"},
		"long key":       {`{"` + strings.Repeat("k", 1025) + `": "1"}`, "", "", "has 1025 bytes"},
		"not UTF-8":      {"{\"a\": \"\xff\"}", "", "", "is not UTF-8"},
		"form":           {"a=b", "Content-Type: application/x-www-form-urlencoded", "", "application/merge-patch+json or application/json"},
		"broken type":    {"{}", "Content-Type: ;;", "", "application/merge-patch+json or application/json"},
		"condition":      {`{"a": "1"}`, `If-Match: "3.1"`, "", "a condition is for one key"},
		"none-match":     {`{"a": "1"}`, `If-None-Match: *`, "", "a condition is for one key"},
		"query":          {`{"a": "1"}`, "", "?from=app1", `the query has a parameter "from", and none is known here`},
		"unknown escape": {`{"a": "\q"}`, "", "", "is none that JSON knows"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			var headers []string
			if tc.header != "" {
				headers = []string{tc.header}
			}
			refused(t, n.do("PATCH", "/v1/state"+tc.query, tc.body, headers...), http.StatusBadRequest, problem.BadRequest, tc.sentence)
			require.Zero(t, n.writes)
		})
	}
}

func TestProfileRefusesTheWholePatch(t *testing.T) {
	n := newNode(t)
	require.NoError(t, n.m.ApplyProfile(protocol.Position{Epoch: 3, Seq: 1}, []byte(`{"initial": {"id": "1", "name": "Ada"}, "read_only": ["id"]}`)))
	before := n.do("GET", "/v1/state", "").Body.String()
	w := n.do("PATCH", "/v1/state", `{"id": "2", "name": "Grace"}`)
	refused(t, w, http.StatusUnprocessableEntity, problem.NotUpdatable, `key "id" cannot be updated, so nothing was`)
	require.Equal(t, before, n.do("GET", "/v1/state", "").Body.String())
}

func TestFrom(t *testing.T) {
	n := newNode(t, set("a", "1"))
	stale, linear := store.Stale, store.Linearizable
	for _, tc := range []struct {
		standby  bool
		from     string
		header   string
		level    *store.Level
		status   int
		sentence string
	}{
		{false, "app1", "", &stale, 200, ""},
		{false, "app1", "linearizable", &linear, 200, ""},
		{false, "primary", "", &linear, 200, ""},
		{false, "standby", "", nil, 404, `this is app1 (role primary), which holds no copy of "standby": ask a monitor, or that node itself`},
		{false, "app2", "", nil, 404, `holds no copy of "app2"`},
		{false, "", "", nil, 400, "from is empty"},
		{true, "standby", "", &stale, 200, ""},
		{true, "app1", "", &stale, 200, ""},
		{true, "primary", "", nil, 404, `this is app1 (role standby)`},
	} {
		if tc.standby {
			n.becomeStandby()
		}
		n.reads = nil
		var headers []string
		if tc.header != "" {
			headers = []string{wire.HeaderConsistency + ": " + tc.header}
		}
		w := n.do("GET", "/v1/state?from="+tc.from, "", headers...)
		if tc.level == nil {
			refused(t, w, tc.status, problem.CodeOf(problem.Parse(w.Code, w.Header(), w.Body.Bytes())), tc.sentence)
			require.Empty(t, n.reads)
			continue
		}
		require.Equal(t, tc.status, w.Code, "%+v", tc)
		require.Equal(t, []fakeRead{{level: *tc.level}}, n.reads, "%+v", tc)
	}
}

func TestQueriesThatAreRefused(t *testing.T) {
	for target, sentence := range map[string]string{
		"/v1/state?form=app1":                       `the query has a parameter "form": known here is from`,
		"/v1/state?from=app1&from=app2":             "the query gives from more than once",
		"/v1/state?from=%zz":                        "the query is not valid",
		"/v1/kv?prefx=a":                            `the query has a parameter "prefx": known here is prefix, after, limit`,
		"/v1/kv?limit=0":                            `limit is "0": it is a number from 1 to 1000`,
		"/v1/kv?limit=1001":                         `limit is "1001"`,
		"/v1/kv?limit=ten":                          `limit is "ten"`,
		"/v1/kv?limit=":                             `limit is ""`,
		"/v1/kv?prefix=%ff":                         "prefix is not UTF-8 of at most 1024 bytes",
		"/v1/kv?after=" + strings.Repeat("k", 1025): "after is not UTF-8 of at most 1024 bytes",
	} {
		n := newNode(t)
		refused(t, n.do("GET", target, ""), http.StatusBadRequest, problem.BadRequest, sentence)
		require.Empty(t, n.reads)
	}
}
