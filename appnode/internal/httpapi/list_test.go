package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/wire"
)

func (n *node) page(q url.Values) wire.Page {
	n.t.Helper()
	w := n.do("GET", "/v1/kv?"+q.Encode(), "")
	require.Equal(n.t, http.StatusOK, w.Code, w.Body)
	require.Equal(n.t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(n.t, n.m.Position().String(), w.Header().Get(wire.HeaderPosition))
	var p wire.Page
	require.NoError(n.t, json.Unmarshal(w.Body.Bytes(), &p))
	return p
}

func TestListItems(t *testing.T) {
	n := newNode(t)
	require.JSONEq(t, `{"items": []}`, n.do("GET", "/v1/kv", "").Body.String())
	n = newNode(t, set("b", ""), set("a", "text"), set("c", "\xff"))
	require.JSONEq(t, `{"items": [
		{"key": "a", "value": "text", "etag": "\"3.2\""},
		{"key": "b", "value": "", "etag": "\"3.1\""},
		{"key": "c", "base64": "/w==", "etag": "\"3.3\""}]}`, n.do("GET", "/v1/kv", "").Body.String())
}

func TestListPages(t *testing.T) {
	n := newNode(t)
	var want []string
	for i := range 250 {
		n.apply(set(fmt.Sprintf("p/%03d", i), "v"), set(fmt.Sprintf("q/%03d", i), "v"))
		want = append(want, fmt.Sprintf("p/%03d", i))
	}
	for limit, pages := range map[string]int{"": 3, "1": 250, "249": 2, "250": 1, "1000": 1} {
		var got []string
		q := url.Values{"prefix": {"p/"}}
		if limit != "" {
			q.Set("limit", limit)
		}
		count := 0
		for more := true; more; count++ {
			p := n.page(q)
			for _, it := range p.Items {
				got = append(got, it.Key)
			}
			q.Set("after", p.Next)
			more = p.Next != ""
		}
		require.Equal(t, want, got, "limit %s", limit)
		require.Equal(t, pages, count, "limit %s: the last page names no next", limit)
	}
}

func TestPageSizeIsBounded(t *testing.T) {
	n := newNode(t)
	for i := range 5 {
		n.apply(set(fmt.Sprint(i), strings.Repeat("v", store.MaxValue)))
	}
	p := n.page(url.Values{"limit": {"1000"}})
	require.Len(t, p.Items, 3)
	require.Equal(t, "2", p.Next)
}
