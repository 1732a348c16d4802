package ledger

import (
	"strconv"
	"strings"
	"time"

	"understudy.example/pkg/history"
	"understudy.example/pkg/wire"
)

// judgeLimit bounds the judgement of one key's history.
const judgeLimit = 5 * time.Second

// What requests do. The history knows a value by its number.
func put(n int, keys ...string) (ops []history.Operation) {
	for _, key := range keys {
		ops = append(ops, history.Operation{Kind: history.Write, Key: key, Value: number(n)})
	}
	return ops
}

func swap(key string, from, to int) []history.Operation {
	return []history.Operation{{Kind: history.Swap, Key: key, Old: number(from), Value: number(to)}}
}

func read(key string) []history.Operation {
	return []history.Operation{{Kind: history.Read, Key: key}}
}

// number names a value; that before the first is nothing.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// numberIn names a value that was read.
func numberIn(value string) string {
	n, _, _ := strings.Cut(value, ".")
	return n
}

// begun is an attempt in the history.
type begun struct {
	kind history.Kind
	*history.Call
}

func (l *Ledger) begin(req request) (calls []begun) {
	for _, op := range req.ops {
		calls = append(calls, begun{op.Kind, l.history.Begin(op)})
	}
	return calls
}

// settle enters what an attempt was told.
func settle(calls []begun, a answer) {
	for _, c := range calls {
		switch {
		case a.verdict == done && c.kind == history.Read:
			c.Shown(numberIn(a.body))
		case a.verdict == done:
			c.Done()
		case a.verdict == failed && c.kind == history.Read:
			c.Shown("")
		case a.verdict == failed && c.kind == history.Swap:
			c.Failed()
		case a.verdict == refused, a.verdict == failed:
			c.Withdrawn()
		}
	}
}

// judge ends the history with what is there, has it judged, and begins another.
func (l *Ledger) judge(items []wire.Item) {
	there := map[string]string{}
	for _, it := range items {
		if l.ours(it.Key) {
			there[it.Key] = numberIn(value(it))
		}
	}
	for _, key := range l.history.Keys() {
		l.history.Begin(history.Operation{Kind: history.Read, Key: key}).Shown(there[key])
	}
	v := l.history.Judge(judgeLimit)
	for _, finding := range v.Broken {
		l.violate("%s", finding)
	}
	l.mu.Lock()
	l.counts.Judged += v.Operations
	l.counts.Undecided += len(v.Undecided)
	l.mu.Unlock()
	begin := map[string]string{}
	for _, w := range l.writers {
		begin[w.chainKey()] = there[w.chainKey()]
	}
	l.history = history.New(begin)
}
