package httpapi

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"unicode/utf8"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// Limits of a page of keys.
const (
	defaultPage = 100     // items, if the query names no limit
	maxPage     = 1000    // items
	maxPageSize = 4 << 20 // bytes of keys and values, unless the first item alone has more
)

// page is what a client asks of GET /v1/kv.
type page struct {
	prefix, after string
	limit         int
}

func pageOf(r *http.Request) (page, error) {
	q, err := query(r, "prefix", "after", "limit")
	if err != nil {
		return page{}, err
	}
	p := page{prefix: q["prefix"], after: q["after"], limit: defaultPage}
	for _, name := range []string{"prefix", "after"} {
		if text := q[name]; len(text) > store.MaxKey || !utf8.ValidString(text) {
			return p, problem.Errorf(problem.BadRequest, "%s is not UTF-8 of at most %d bytes", name, store.MaxKey)
		}
	}
	if text, ok := q["limit"]; ok {
		if p.limit, err = strconv.Atoi(text); err != nil || p.limit < 1 || p.limit > maxPage {
			return p, problem.Errorf(problem.BadRequest, "limit is %q: it is a number from 1 to %d", text, maxPage)
		}
	}
	return p, nil
}

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	p, err := pageOf(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	view, err := a.read(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.stamp(w.Header(), view.Position())
	a.sendJSON(w, r, http.StatusOK, p.items(view))
}

// items collects the page from the view.
func (p page) items(view *store.View) wire.Page {
	out := wire.Page{Items: []wire.Item{}}
	size := 0
	view.Ascend(p.prefix, p.after, func(key string, e *store.Entry) bool {
		size += len(key) + len(e.Value)
		if n := len(out.Items); n == p.limit || n > 0 && size > maxPageSize {
			out.Next = out.Items[n-1].Key
			return false
		}
		out.Items = append(out.Items, item(key, e))
		return true
	})
	return out
}

func item(key string, e *store.Entry) wire.Item {
	it := wire.Item{Key: key, ETag: `"` + e.Position.String() + `"`}
	if utf8.ValidString(e.Value) {
		it.Value = &e.Value
	} else {
		it.Base64 = new(base64.StdEncoding.EncodeToString([]byte(e.Value)))
	}
	return it
}
