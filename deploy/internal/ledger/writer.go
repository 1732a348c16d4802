package ledger

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// writer writes one thing after the other, by turns: the next value of a chain,
// each conditional on the one before; a key that is written but once; and two
// such keys at once.
type writer struct {
	ledger *Ledger
	number int
	prefix string
	step   int

	// chain is the newest value of the chain that is known to be applied, and
	// etag the entity tag that it was given; 0 is before the first.
	chain int
	etag  string
	// open is a value of the chain whose outcome is not known; 0: none is.
	open int

	entries []entry
}

// entry is a write of keys that are written once.
type entry struct {
	n    int
	keys []string
	fate fate
	etag string // "" until it has been told or seen
}

// fate is what is known of an entry.
type fate uint8

const (
	unknown fate = iota
	applied      // acknowledged, or seen
	absent       // not there when everything was quiet: it must never come
)

func (w *writer) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.step++
		switch w.step % 3 {
		case 0:
			w.single(ctx)
		case 1:
			w.link(ctx)
		case 2:
			w.double(ctx)
			w.look(ctx)
		}
		if w.ledger.opts.Pause > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(w.ledger.opts.Pause):
			}
		}
	}
}

func path(key string) string { return "/v1/kv/" + url.PathEscape(key) }

// look reads the chain of the next writer, which knows better what it holds.
func (w *writer) look(ctx context.Context) {
	next := w.ledger.writers[(w.number+1)%len(w.ledger.writers)]
	w.ledger.insist(ctx, request{method: http.MethodGet, path: path(next.chainKey()), ops: read(next.chainKey())})
}

func (w *writer) chainKey() string { return w.prefix + "chain" }

// single writes one key that is never written again.
func (w *writer) single(ctx context.Context) {
	key := fmt.Sprintf("%sonce/%d", w.prefix, w.step)
	a := w.ledger.insist(ctx, request{method: http.MethodPut, path: path(key), body: w.ledger.value(w.step), ops: put(w.step, key)})
	w.enter(a, entry{n: w.step, keys: []string{key}, etag: a.etag})
}

// double writes two keys at once: both or none must be applied.
func (w *writer) double(ctx context.Context) {
	a, b := fmt.Sprintf("%spair/%d/a", w.prefix, w.step), fmt.Sprintf("%spair/%d/b", w.prefix, w.step)
	v := w.ledger.value(w.step)
	got := w.ledger.insist(ctx, request{
		method: http.MethodPatch, path: "/v1/state", header: map[string]string{"Prefer": "return=minimal"},
		body: fmt.Sprintf("{%q:%q,%q:%q}", a, v, b, v), ops: put(w.step, a, b),
	})
	w.enter(got, entry{n: w.step, keys: []string{a, b}})
}

func (w *writer) enter(a answer, e entry) {
	switch a.verdict {
	case done:
		e.fate = applied
	case unsure:
		e.etag = ""
	case refused, failed, strange:
		return // it was not written, and its name is not used again
	}
	w.entries = append(w.entries, e)
}

// link writes the next value of the chain, on the condition that the last is
// still there.
func (w *writer) link(ctx context.Context) {
	if w.open != 0 && !w.resolve(ctx) {
		return
	}
	n := w.chain + 1
	switch a := w.forge(ctx, n); a.verdict {
	case done:
		w.chain, w.etag = n, a.etag
	case unsure:
		w.open = n
		w.resolve(ctx)
	case failed:
		w.ledger.violate("%s: the condition for value %d (%s) does not hold, and nobody else writes it: %s", w.chainKey(), n, w.etag, a.why)
		w.reread(ctx)
	case refused, strange:
	}
}

// forge writes the n-th value of the chain, unless something else has taken the
// place of the newest that is known.
func (w *writer) forge(ctx context.Context, n int) answer {
	header := map[string]string{"If-None-Match": "*"}
	if w.etag != "" {
		header = map[string]string{"If-Match": w.etag}
	}
	return w.ledger.insist(ctx, request{
		method: http.MethodPut, path: path(w.chainKey()), header: header, body: w.ledger.value(n), ops: swap(w.chainKey(), w.chain, n),
	})
}

// resolve finds out whether the open value was applied. Where it was not, it
// might still come: the same condition keeps it from being applied after
// another.
func (w *writer) resolve(ctx context.Context) bool {
	for {
		n, etag, ok := w.readChain(ctx)
		switch {
		case !ok:
			return false
		case n == w.open:
			w.chain, w.etag, w.open = n, etag, 0
			return true
		case n != w.chain || etag != w.etag:
			w.ledger.violate("%s: value %d (%s) was acknowledged, and value %d (%s) is read", w.chainKey(), w.chain, w.etag, n, etag)
			w.chain, w.etag, w.open = n, etag, 0
			return true
		}
		switch a := w.forge(ctx, w.open); a.verdict {
		case done:
			w.chain, w.etag, w.open = w.open, a.etag, 0
			return true
		case unsure, failed: // look again
		case refused, strange:
			return false
		}
	}
}

// readChain reads the chain: its value, 0 if there is none.
func (w *writer) readChain(ctx context.Context) (n int, etag string, ok bool) {
	a := w.ledger.insist(ctx, request{method: http.MethodGet, path: path(w.chainKey()), ops: read(w.chainKey())})
	switch a.verdict {
	case failed:
		return 0, "", true
	case done:
		number, _, _ := strings.Cut(a.body, ".")
		n, err := strconv.Atoi(number)
		if err != nil || a.body != w.ledger.value(n) {
			w.ledger.violate("%s holds %q, which nobody wrote", w.chainKey(), a.body)
			return 0, "", false
		}
		return n, a.etag, true
	case refused, unsure, strange:
	}
	return 0, "", false
}

// reread goes on from what is there, after a violation.
func (w *writer) reread(ctx context.Context) {
	if n, etag, ok := w.readChain(ctx); ok {
		w.chain, w.etag, w.open = n, etag, 0
	}
}
