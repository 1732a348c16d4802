package understudy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/requestid"
	"understudy.example/pkg/sse"
	"understudy.example/pkg/wire"
)

// group is the replicated map, and who leads it.
type group struct {
	mu      sync.Mutex // guards the fields below
	primary string
	at      Position
	values  map[string]entry
	seen    map[string]bool // ids that were applied
	applied int
	repeats int
	batches []wire.WatchBatch
	changed chan struct{}
	// meddle is called before and after each request's answer is written (nil: nobody
	// meddles), and may break the answer by http.ErrAbortHandler.
	meddle func(stage, node string)
}

type entry struct{ value, etag string }

func newGroup() *group {
	return &group{values: map[string]entry{}, seen: map[string]bool{}, changed: make(chan struct{})}
}

// leads starts a node's reign.
func (g *group) leads(name string) protocol.Epoch {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.primary = name
	g.at.Epoch++
	g.at.Seq++
	return g.at.Epoch
}

func (g *group) meddles(fn func(stage, node string)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.meddle = fn
}

func (g *group) counts() (applied, repeats int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.applied, g.repeats
}

func (g *group) stage(name, node string) {
	g.mu.Lock()
	fn := g.meddle
	g.mu.Unlock()
	if fn != nil {
		fn(name, node)
	}
}

// node is a fake node.
type node struct {
	group *group
	name  string
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := n.group
	g.mu.Lock()
	primary := g.primary == n.name
	g.mu.Unlock()
	switch {
	case !primary:
		problem.Write(w, problem.Errorf(problem.NotPrimary, "%s is not the primary", n.name))
	case r.URL.Path == pathProbe:
		w.WriteHeader(http.StatusOK)
	case r.URL.Path == wire.PathWatch:
		n.watch(w, r)
	case r.Method == http.MethodGet:
		g.stage("read", n.name)
		n.read(w, r)
		g.stage("sent", n.name)
	default:
		g.stage("before", n.name)
		if n.write(w, r) {
			g.stage("after", n.name)
		}
	}
}

func (n *node) read(w http.ResponseWriter, r *http.Request) {
	g := n.group
	g.mu.Lock()
	defer g.mu.Unlock()
	w.Header().Set(wire.HeaderPosition, g.at.String())
	key, isKey := strings.CutPrefix(r.URL.Path, pathKeys+"/")
	switch e, ok := g.values[key]; {
	case r.URL.Path == pathState:
		state := map[string]any{}
		for k, e := range g.values {
			state[k] = e.value
			if e.value == "\xff" {
				state[k] = map[string][]byte{"base64": []byte(e.value)}
			}
		}
		_ = json.NewEncoder(w).Encode(state)
	case !isKey:
		n.list(w, r)
	case !ok:
		problem.Write(w, problem.Errorf(problem.NotFound, "there is no key %q", key))
	case r.Header.Get("If-None-Match") == e.etag:
		w.WriteHeader(http.StatusNotModified)
	default:
		w.Header().Set("Etag", e.etag)
		_, _ = fmt.Fprint(w, e.value)
	}
}

// list answers a page that says what was asked for.
func (n *node) list(w http.ResponseWriter, r *http.Request) {
	text := r.URL.RawQuery + " " + r.Header.Get(wire.HeaderConsistency) + " " + r.Header.Get(wire.HeaderPosition)
	_ = json.NewEncoder(w).Encode(wire.Page{Items: []wire.Item{{Key: "k", Value: &text, ETag: `"1.1"`}}, Next: "k"})
}

// write applies a write once, and reports whether it was the first copy.
func (n *node) write(w http.ResponseWriter, r *http.Request) bool {
	id, err := requestid.Of(r.Header)
	if err != nil {
		problem.Write(w, err)
		return false
	}
	body := make([]byte, max(0, r.ContentLength))
	_, _ = r.Body.Read(body)
	g := n.group
	g.mu.Lock()
	defer g.mu.Unlock()
	key := strings.TrimPrefix(r.URL.Path, pathKeys+"/")
	e, ok := g.values[key]
	switch wanted, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match"); {
	case g.seen[id.AsKey()]:
		g.repeats++
	case wanted != "" && wanted != e.etag, none == "*" && ok:
		problem.Write(w, problem.Errorf(problem.PreconditionFailed, "the ETag is %s", e.etag))
		return false
	case r.Method == http.MethodDelete && !ok:
		problem.Write(w, problem.Errorf(problem.NotFound, "there is no key %q", key))
		return false
	default:
		g.seen[id.AsKey()] = true
		g.apply(r, key, string(body))
	}
	w.Header().Set(wire.HeaderPosition, g.at.String())
	w.Header().Set("Etag", g.values[key].etag)
	if r.Method == http.MethodPatch {
		_ = json.NewEncoder(w).Encode(map[string]string{"patched": string(body)})
		return true
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// apply carries a write out. mu is held.
func (g *group) apply(r *http.Request, key, value string) {
	g.applied++
	g.at.Seq++
	change := wire.KeyChange{Key: key}
	if r.Method == http.MethodDelete {
		delete(g.values, key)
		change.Deleted = true
	} else {
		g.values[key] = entry{value, `"` + g.at.String() + `"`}
		change.Value = &value
	}
	g.batches = append(g.batches, wire.WatchBatch{Position: g.at, Changes: []wire.KeyChange{change}})
	close(g.changed)
	g.changed = make(chan struct{})
}

// watch sends the state, one key a page, and what follows, as the node that this
// fake stands for does.
func (n *node) watch(w http.ResponseWriter, r *http.Request) {
	g := n.group
	send := func(id, name string, v any) {
		text, _ := json.Marshal(v)
		_, _ = w.Write(sse.Append(nil, id, name, text))
		_ = http.NewResponseController(w).Flush()
	}
	g.mu.Lock()
	at, keys := g.at, []wire.Item{}
	for k, e := range g.values {
		keys = append(keys, wire.Item{Key: k, Value: &e.value, ETag: e.etag})
	}
	g.mu.Unlock()
	if last := r.Header.Get(sse.HeaderLastID); last != "" {
		at, _ = protocol.ParsePosition(last)
		if at.Epoch == 0 {
			problem.Write(w, problem.Errorf(problem.Compacted, "%s is no longer kept", at))
			return
		}
	} else {
		slices.SortFunc(keys, func(a, b wire.Item) int { return strings.Compare(a.Key, b.Key) })
		for i, item := range keys {
			send("", wire.EventSnapshot, wire.WatchSnapshot{First: i == 0, Items: []wire.Item{item}})
			g.stage("page", n.name)
		}
		send(at.String(), wire.EventSnapshot, wire.WatchSnapshot{First: len(keys) == 0, Last: true, Items: []wire.Item{}})
	}
	for {
		g.mu.Lock()
		batches, changed := g.batches, g.changed
		g.mu.Unlock()
		for _, b := range batches {
			if b.Position.Compare(at) > 0 {
				send(b.Position.String(), wire.EventBatch, b)
				at = b.Position
			}
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}
