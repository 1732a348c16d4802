package httpapi

import (
	"io"
	"net/http"
	"strconv"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/caller"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// keyPath begins the path of every key.
const keyPath = "/v1/kv/"

// keyOf returns the key that the path of r names: whatever follows the prefix,
// unescaped once, slashes and dots as they are. URL.Path is that, for the router
// has matched the prefix in its escaped form.
func keyOf(r *http.Request) (string, error) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return "", problem.Errorf(problem.BadRequest, "a key takes no query: a question mark in a key is written %%3F")
	}
	key := r.URL.Path[len(keyPath):]
	return key, store.CheckKey(key)
}

func (a *api) getKey(w http.ResponseWriter, r *http.Request) {
	key, err := keyOf(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	cond, err := condition(r.Header)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	view, err := a.read(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	e, ok := view.Get(key)
	if !ok {
		a.stamp(w.Header(), view.Position())
		a.fail(w, r, missing(key))
		return
	}
	a.stampEntry(w.Header(), view.Position(), e)
	switch {
	case !cond.HoldsMatch(e):
		delete(w.Header(), "Content-Length")
		a.fail(w, r, cond.Check(key, e))
	case !cond.HoldsNoneMatch(e):
		delete(w.Header(), "Content-Length")
		w.WriteHeader(http.StatusNotModified)
	default:
		_, _ = io.WriteString(caller.Answer(w, len(e.Value)), e.Value) // the client may be gone: there is nobody left to tell
	}
}

// stampEntry writes the headers of an answer with e. Their values share one
// string and one slice, since this is the path of every read.
func (a *api) stampEntry(h http.Header, pos protocol.Position, e *store.Entry) {
	buf := appendPosition(append(make([]byte, 0, 128), '"'), e.Position)
	buf = append(buf, '"')
	tag := len(buf)
	buf = appendPosition(buf, pos)
	at := len(buf)
	text := string(strconv.AppendInt(buf, int64(len(e.Value)), 10))
	values := []string{text[:tag], text[tag:at], text[at:]}
	h[keyETag] = values[0:1:1]
	h[wire.HeaderPosition] = values[1:2:2]
	h["Content-Length"] = values[2:3:3]
	h["Content-Type"] = octetStream
	h["Cache-Control"] = noCache
	h[wire.HeaderNode] = a.node
}

func appendPosition(dst []byte, p protocol.Position) []byte {
	dst = strconv.AppendUint(dst, uint64(p.Epoch), 10)
	return strconv.AppendUint(append(dst, '.'), uint64(p.Seq), 10)
}

func missing(key string) error {
	return problem.Errorf(problem.NotFound, "there is no key %q", key)
}

func (a *api) putKey(w http.ResponseWriter, r *http.Request) {
	req, err := a.putRequest(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	out, ok := a.write(w, r, req)
	if !ok {
		return
	}
	w.Header()[keyETag] = []string{`"` + out.Position.String() + `"`}
	w.WriteHeader(http.StatusNoContent)
}

func (a *api) putRequest(w http.ResponseWriter, r *http.Request) (*store.Request, error) {
	key, cond, err := a.checkKeyWrite(r)
	if err != nil {
		return nil, err
	}
	if r.Header.Get("Content-Range") != "" {
		return nil, problem.Errorf(problem.BadRequest, "a value is written as a whole: Content-Range is not supported")
	}
	value, err := readBody(w, r, store.MaxValue)
	if err != nil {
		return nil, err
	}
	req, err := store.Put(key, value, cond)
	if err != nil {
		return nil, err
	}
	return named(req, r, value)
}

func (a *api) checkKeyWrite(r *http.Request) (string, store.Cond, error) {
	if err := a.checkOrigin(r); err != nil {
		return "", store.Cond{}, err
	}
	key, err := keyOf(r)
	if err != nil {
		return "", store.Cond{}, err
	}
	cond, err := condition(r.Header)
	return key, cond, err
}

// deleteKey answers 204 if the key was there, 404 if it was not.
func (a *api) deleteKey(w http.ResponseWriter, r *http.Request) {
	key, cond, err := a.checkKeyWrite(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	req, err := store.Delete(key, cond)
	if err == nil {
		req, err = named(req, r, nil)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	out, ok := a.write(w, r, req)
	switch {
	case !ok:
	case out.Missing:
		a.fail(w, r, missing(key))
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
