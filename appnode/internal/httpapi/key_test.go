package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

func TestGetKey(t *testing.T) {
	n := newNode(t, set("name", "Ada\x00\xff"), set("other", ""))
	w := n.do("GET", "/v1/kv/name", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "Ada\x00\xff", w.Body.String())
	for name, want := range map[string]string{
		"ETag": `"3.1"`, "Content-Length": "5", "Content-Type": "application/octet-stream", "Cache-Control": "no-cache",
		wire.HeaderNode: "app1", wire.HeaderPosition: "3.2", wire.HeaderCopies: "",
	} {
		require.Equal(t, want, w.Header().Get(name), name)
	}
	w = n.do("GET", "/v1/kv/other", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "0", w.Header().Get("Content-Length"))
	w = n.do("GET", "/v1/kv/absent", "")
	refused(t, w, http.StatusNotFound, problem.NotFound, `there is no key "absent"`)
	require.Equal(t, "3.2", w.Header().Get(wire.HeaderPosition))
}

func TestAnswersDoNotShareHeaders(t *testing.T) {
	n := newNode(t, set("a", "1"))
	for _, name := range []string{"ETag", "Content-Type", "Content-Length", "Cache-Control", wire.HeaderNode, wire.HeaderPosition} {
		w := n.do("GET", "/v1/kv/a", "")
		w.Header().Add(name, "added by a wrapper")
	}
	w := n.do("GET", "/v1/kv/a", "")
	for name, values := range w.Header() {
		require.Len(t, values, 1, name)
		require.NotContains(t, values[0], "added", name)
	}
}

func TestKeysAreUnescapedOnce(t *testing.T) {
	for path, key := range map[string]string{
		"a/b/c":        "a/b/c",
		"/a":           "/a",
		"a//b":         "a//b",
		"a/":           "a/",
		"//":           "//",
		"..":           "..",
		"../../etc":    "../../etc",
		"a/./b/../c":   "a/./b/../c",
		".":            ".",
		"a%2Fb":        "a/b",
		"a%252Fb":      "a%2Fb",
		"%25":          "%",
		"a%3Fb%23c":    "a?b#c",
		"a+b%20c":      "a+b c",
		"%C3%A9/é":     "é/é",
		"%00%0A":       "\x00\n",
		"%2e%2E":       "..",
		"*":            "*",
		"{x}":          "{x}",
		"a:b@c;d=e,f!": "a:b@c;d=e,f!",
	} {
		n := newNode(t)
		w := n.do("PUT", "/v1/kv/"+path, "value")
		require.Equal(t, http.StatusNoContent, w.Code, "%s: %s", path, w.Body)
		e, ok := n.m.Get(key)
		require.True(t, ok, "%s is key %q", path, key)
		require.Equal(t, "value", e.Value)
		require.Equal(t, 1, n.m.Len())
		require.Equal(t, "value", n.do("GET", "/v1/kv/"+path, "").Body.String(), path)
		require.Equal(t, http.StatusNoContent, n.do("DELETE", "/v1/kv/"+path, "").Code, path)
		require.Zero(t, n.m.Len(), path)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	long := strings.Repeat("k", 1025)
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
		n := newNode(t)
		for target, sentence := range map[string]string{
			"/v1/kv/":        "the key is empty: a key has 1 to 1024 bytes",
			"/v1/kv/" + long: "has 1025 bytes: a key has 1 to 1024 bytes",
			"/v1/kv/%ff":     "is not UTF-8",
			"/v1/kv/a?b":     "a question mark in a key is written %3F",
			"/v1/kv/a?":      "a question mark in a key is written %3F",
		} {
			refused(t, n.do(method, target, "x"), http.StatusBadRequest, problem.BadRequest, sentence)
		}
		require.Zero(t, n.writes)
		require.Empty(t, n.reads)
		require.Equal(t, http.StatusNoContent, newNode(t).do("PUT", "/v1/kv/"+long[1:], "").Code)
	}
}

func TestPut(t *testing.T) {
	n := newNode(t)
	w := n.do("PUT", "/v1/kv/a", "\xff raw")
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Empty(t, w.Body.String())
	require.Equal(t, `"3.1"`, w.Header().Get("ETag"))
	require.Equal(t, "3.1", w.Header().Get(wire.HeaderPosition))
	require.Equal(t, "2", w.Header().Get(wire.HeaderCopies))
	require.Equal(t, "app1", w.Header().Get(wire.HeaderNode))
	e, _ := n.m.Get("a")
	require.Equal(t, "\xff raw", e.Value)
	require.Equal(t, `"3.2"`, n.do("PUT", "/v1/kv/a", "").Header().Get("ETag"))
}

func TestDelete(t *testing.T) {
	n := newNode(t, set("a", "1"))
	w := n.do("DELETE", "/v1/kv/a", "")
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Equal(t, "3.2", w.Header().Get(wire.HeaderPosition))
	require.Equal(t, "2", w.Header().Get(wire.HeaderCopies))
	require.Empty(t, w.Header().Get("ETag"))
	w = n.do("DELETE", "/v1/kv/a", "")
	refused(t, w, http.StatusNotFound, problem.NotFound, `there is no key "a"`)
	require.Equal(t, "3.2", w.Header().Get(wire.HeaderPosition))
}

func TestConditionsOfWrites(t *testing.T) {
	for name, tc := range map[string]struct {
		key, header string
		status      int
	}{
		"match":                  {"a", `If-Match: "3.1"`, 204},
		"match one of several":   {"a", `If-Match: "x", "3.9" ,"3.1"`, 204},
		"match any":              {"a", `If-Match: *`, 204},
		"match another":          {"a", `If-Match: "3.2"`, 412},
		"match a weak tag":       {"a", `If-Match: W/"3.1"`, 412},
		"match another form":     {"a", `If-Match: "03.1"`, 412},
		"match a foreign tag":    {"a", `If-Match: "x,y", "3.1"`, 204},
		"match any, absent":      {"b", `If-Match: *`, 412},
		"none-match any, absent": {"b", `If-None-Match: *`, 204},
		"none-match any":         {"a", `If-None-Match: *`, 412},
		"none-match weak":        {"a", `If-None-Match: W/"3.1"`, 412},
		"none-match another":     {"a", `If-None-Match: "3.7"`, 204},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"PUT", "DELETE"} {
				n := newNode(t, set("a", "1"))
				w := n.do(method, "/v1/kv/"+tc.key, "new", tc.header)
				if tc.status == http.StatusPreconditionFailed {
					refused(t, w, tc.status, problem.PreconditionFailed, "key")
					e, ok := n.m.Get("a")
					require.True(t, ok)
					require.Equal(t, "1", e.Value)
				} else if method == "PUT" || tc.key == "a" {
					require.Equal(t, tc.status, w.Code, w.Body)
				}
			}
		})
	}
	n := newNode(t, set("a", "1"))
	two := n.do("PUT", "/v1/kv/a", "new", `If-Match: "9.9"`, `If-Match: "3.1"`)
	require.Equal(t, http.StatusNoContent, two.Code, "a list in two lines is one list")
}

func TestConditionsOfReads(t *testing.T) {
	n := newNode(t, set("a", "value"))
	for _, method := range []string{"GET", "HEAD"} {
		w := n.do(method, "/v1/kv/a", "", `If-None-Match: "3.1"`)
		require.Equal(t, http.StatusNotModified, w.Code)
		require.Empty(t, w.Body.String())
		require.Equal(t, `"3.1"`, w.Header().Get("ETag"))
		require.Empty(t, w.Header().Get("Content-Length"))
		require.Equal(t, http.StatusOK, n.do(method, "/v1/kv/a", "", `If-None-Match: "3.0"`).Code)
		refused(t, n.do(method, "/v1/kv/a", "", `If-Match: "3.0"`), http.StatusPreconditionFailed, problem.PreconditionFailed, `has the ETag "3.1"`)
		refused(t, n.do(method, "/v1/kv/b", "", `If-Match: "3.0"`), http.StatusNotFound, problem.NotFound, "no key")
	}
}

func TestMalformedConditions(t *testing.T) {
	for _, header := range []string{
		"If-Match: 3.1", `If-Match: "3.1`, `If-Match: "3.1" "3.2"`, `If-None-Match: *, "3.1"`, `If-None-Match: W/3.1`, `If-Match: "3.1"x`,
	} {
		n := newNode(t, set("a", "1"))
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			w := n.do(method, "/v1/kv/a", "x", header)
			refused(t, w, http.StatusBadRequest, problem.BadRequest, `it is * or a list of ETags in double quotes, for example "3.1042"`)
		}
		require.Zero(t, n.writes, header)
	}
}

func FuzzCondition(f *testing.F) {
	f.Add(`"3.1", W/"3.2"`)
	f.Add(`*`)
	f.Add(`"a,b" ,, "`)
	f.Fuzz(func(t *testing.T, value string) {
		got, err := condition(http.Header{keyIfMatch: {value}, keyIfNoneMatch: {value}})
		if err != nil {
			require.Equal(t, problem.BadRequest, problem.CodeOf(err))
			return
		}
		require.True(t, got.Match.Given && got.NoneMatch.Given)
		require.LessOrEqual(t, len(got.Match.Positions), len(got.NoneMatch.Positions))
		for _, pos := range got.NoneMatch.Positions {
			require.Contains(t, value, `"`+pos.String()+`"`)
		}
	})
}
