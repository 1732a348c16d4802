package bubble

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/sse"
	"understudy.example/pkg/wire"
)

// witnessed begins the keys that witnesses watch. Each is written once.
const witnessed = "load-"

// witness watches, through everything: it misses nothing, sees nothing twice, and is
// never told that history is another.
type witness struct {
	x     *chaos
	at    []string // where it watches, in turn
	stays bool     // for as long as the stream lasts
	end   context.CancelFunc
	work  sync.WaitGroup

	mu    sync.Mutex
	where string
	last  string          // id to go on behind
	seen  map[string]bool // keys
	fresh map[string]bool // of a state that is not complete
}

// startWitnesses starts one at every monitor, which stays, and one that goes from
// node to node.
func (x *chaos) startWitnesses() []*witness {
	var all []*witness
	begin := func(stays bool, at ...string) {
		w := &witness{x: x, at: at, stays: stays, seen: map[string]bool{}}
		ctx, cancel := context.WithCancel(context.Background())
		w.end = cancel
		w.work.Go(func() { w.follow(ctx) })
		x.t.Cleanup(w.stop)
		all = append(all, w)
	}
	for _, name := range x.monitorNames() {
		begin(true, monitorAt(name))
	}
	var nodes []string
	for _, name := range x.names() {
		nodes = append(nodes, address(name))
	}
	begin(false, nodes...)
	return all
}

func (w *witness) stop() {
	w.end()
	w.work.Wait()
}

func (w *witness) now() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("%s, behind %s", w.where, w.last)
}

func (w *witness) saw(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[key]
}

// follow watches one stream after the other.
func (w *witness) follow(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		life, cancel := context.WithCancel(ctx)
		if !w.stays {
			life, cancel = context.WithTimeout(ctx, 2*time.Second)
		}
		w.stream(life, w.at[n%len(w.at)])
		cancel()
		time.Sleep(20 * time.Millisecond)
	}
}

func (w *witness) stream(ctx context.Context, at string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+wire.PathWatch+"?prefix="+witnessed, nil)
	if err != nil {
		w.x.find("no request for a watch: %v", err)
		return
	}
	w.mu.Lock()
	w.where = at
	if w.last != "" {
		req.Header.Set(sse.HeaderLastID, w.last)
	}
	w.mu.Unlock()
	res, err := w.x.http.http.Do(req)
	if err != nil {
		return
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body) // no code is one as well
		w.refused(at, problem.Parse(res.StatusCode, res.Header, body).Code, string(body))
		return
	}
	for in := sse.NewReader(res.Body, 64<<20); ; {
		e, err := in.Next()
		if err != nil {
			return
		}
		w.take(at, e)
	}
}

// refused hears that the watch does not go on. What it saw last may be long ago, but
// nobody has overruled anybody.
func (w *witness) refused(at string, code problem.Code, body string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if code == problem.Compacted {
		w.x.story.note("a watch at " + at + " is told that it begins anew")
		w.last = ""
	}
	if code == problem.HistoryLost {
		w.x.find("a watch at %s behind %q is answered: %s", at, w.last, body)
		w.last = ""
	}
}

func (w *witness) take(at string, e sse.Event) {
	switch e.Name {
	case wire.EventSnapshot:
		w.takePage(at, e)
	case wire.EventBatch:
		w.takeBatch(at, e)
	case wire.EventError:
		var told struct{ Code problem.Code }
		_ = json.Unmarshal(e.Data, &told) // no code is one as well
		w.refused(at, told.Code, string(e.Data))
		return
	}
	if e.HasID {
		w.mu.Lock()
		w.last = e.ID
		w.mu.Unlock()
	}
}

// takePage takes a part of the state. What was seen before is in it.
func (w *witness) takePage(at string, e sse.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var page wire.WatchSnapshot
	if err := json.Unmarshal(e.Data, &page); err != nil {
		w.x.find("a watch at %s: %v", at, err)
		return
	}
	if page.First {
		w.fresh = map[string]bool{}
	}
	for _, item := range page.Items {
		w.fresh[item.Key] = true
	}
	if !page.Last {
		return
	}
	for key := range w.seen {
		if !w.fresh[key] {
			w.x.find("a watch at %s begins anew without %s, which it has shown", at, key)
		}
	}
	w.seen, w.fresh = w.fresh, nil
}

func (w *witness) takeBatch(at string, e sse.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var batch wire.WatchBatch
	if err := json.Unmarshal(e.Data, &batch); err != nil {
		w.x.find("a watch at %s: %v", at, err)
		return
	}
	for _, change := range batch.Changes {
		if w.seen[change.Key] {
			w.x.find("a watch at %s shows %s twice, the second time at %s", at, change.Key, e.ID)
		}
		w.seen[change.Key] = true
	}
}

// judgeWitnesses requires that each has seen all that was acknowledged, once the one
// that goes about has been where all is known.
func (x *chaos) judgeWitnesses() {
	x.t.Helper()
	for _, w := range x.witnesses {
		var missed []string
		for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(100 * time.Millisecond) {
			if missed = x.ledger.missed(w.saw); len(missed) == 0 {
				break
			}
		}
		w.stop()
		if len(missed) > 0 {
			x.find("a watch at %s has not seen %d keys: %s", w.now(), len(missed), strings.Join(missed[:min(len(missed), 5)], ", "))
		}
	}
}

// missed returns the keys of acknowledged writes that a witness has not seen.
func (l *ledger) missed(saw func(key string) bool) (keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.done {
		if strings.HasPrefix(key, witnessed) && !saw(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
