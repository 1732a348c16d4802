package ledger

import (
	"slices"
	"strings"

	"understudy.example/pkg/wire"
)

// Check judges the map of a cluster that is quiet: nothing is written, and
// every replica is in sync. What it finds joins the violations. Writes of
// unknown outcome are settled by it: what is not there now must never come.
func (l *Ledger) Check(items []wire.Item) {
	have := map[string]wire.Item{}
	for _, it := range items {
		if strings.HasPrefix(it.Key, l.opts.Prefix) && l.ours(it.Key) {
			have[it.Key] = it
		}
	}
	for _, w := range l.writers {
		w.checkChain(have)
		for i := range w.entries {
			w.checkEntry(&w.entries[i], have)
		}
	}
	for key := range have {
		l.violate("%s is there, and nobody wrote it", key)
	}
	l.judge(items)
}

func (l *Ledger) ours(key string) bool {
	return slices.ContainsFunc(l.writers, func(w *writer) bool { return strings.HasPrefix(key, w.prefix) })
}

func (w *writer) checkChain(have map[string]wire.Item) {
	it, there := have[w.chainKey()]
	delete(have, w.chainKey())
	switch {
	case !there && w.chain == 0:
		w.open = 0
	case !there:
		w.ledger.violate("%s: value %d was acknowledged, and the key is gone", w.chainKey(), w.chain)
	case w.open != 0 && value(it) == w.ledger.value(w.open):
		w.chain, w.etag, w.open = w.open, it.ETag, 0
	case value(it) != w.ledger.value(w.chain):
		w.ledger.violate("%s: value %d was acknowledged, and %q is there", w.chainKey(), w.chain, value(it))
	case it.ETag != w.etag:
		w.ledger.violate("%s: value %d was written at %s, and again at %s", w.chainKey(), w.chain, w.etag, it.ETag)
	default:
		w.open = 0
	}
}

func (w *writer) checkEntry(e *entry, have map[string]wire.Item) {
	found := 0
	etag := e.etag
	for _, key := range e.keys {
		it, there := have[key]
		delete(have, key)
		if !there {
			continue
		}
		found++
		if value(it) != w.ledger.value(e.n) {
			w.ledger.violate("%s holds %q, which nobody wrote", key, value(it))
		}
		if etag != "" && it.ETag != etag {
			w.ledger.violate("%s was written at %s, and again at %s", key, etag, it.ETag)
		}
		etag = it.ETag
	}
	switch {
	case found != 0 && found != len(e.keys):
		w.ledger.violate("%s: half of the write is there", strings.Join(e.keys, " and "))
	case found == 0 && e.fate == applied:
		w.ledger.violate("%s was acknowledged or seen, and is gone", strings.Join(e.keys, " and "))
	case found != 0 && e.fate == absent:
		w.ledger.violate("%s was not there before, and has come back", strings.Join(e.keys, " and "))
	}
	e.etag, e.fate = etag, applied
	if found == 0 {
		e.fate = absent
	}
}

func value(it wire.Item) string {
	if it.Value == nil {
		return ""
	}
	return *it.Value
}
