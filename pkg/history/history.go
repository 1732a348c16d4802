// Package history records what clients asked of a map and what they were told, and
// judges by the linearizability checker porcupine whether a single map that does
// one thing at a time could have answered so: a stale read, a lost write, a write
// applied twice or out of order leave no order of operations that explains them.
//
// Keys are judged one by one, for an operation concerns one key. Every operation
// has a call and, if its outcome became known, a return; their order is that of a
// counter, not of a clock, so that what came after is never taken for concurrent.
// The checker is due to Lowe, "Testing for linearizability" (2017).
package history

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Kind says what an operation does.
type Kind uint8

// The kinds of operations.
const (
	Read  Kind = iota // the value
	Write             // sets the value, whatever it was
	Swap              // sets the value if it is Old
)

// Operation is what a client asks. The value "" stands for a key that is not there.
type Operation struct {
	Kind Kind
	Key  string
	// Value is what is written. A value that is written to a key by one operation
	// only makes the judgement quick, however many outcomes are unknown.
	Value string
	Old   string // what a Swap expects
}

// History is a record of operations. All of its methods may run at the same time.
type History struct {
	mu    sync.Mutex // guards the fields below, and the calls' outcomes
	clock int64
	begin map[string]string // values at the beginning
	calls []*Call
}

// New returns an empty history of a map that holds the given values.
func New(begin map[string]string) *History { return &History{begin: begin} }

// Call is an operation under way. What is not told of it stays unknown: it may
// have been done, or be done at any later time, or never.
type Call struct {
	history  *History
	op       Operation
	fate     fate
	shown    string // by a read
	from, to int64  // to is set with the fate
}

type fate uint8

const (
	unknown fate = iota
	done
	failed    // the value was not the one that a swap expects
	withdrawn // certainly not done
)

// Begin notes that an operation is about to be asked for.
func (h *History) Begin(op Operation) *Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	c := &Call{history: h, op: op, from: h.clock}
	h.calls = append(h.calls, c)
	return c
}

// Shown notes what a read was answered.
func (c *Call) Shown(value string) { c.end(done, value) }

// Done notes that a write was acknowledged.
func (c *Call) Done() { c.end(done, "") }

// Failed notes that a swap was refused: the value was not the one expected.
func (c *Call) Failed() { c.end(failed, "") }

// Withdrawn notes that the operation was certainly not done, and never will be.
func (c *Call) Withdrawn() { c.end(withdrawn, "") }

func (c *Call) end(f fate, shown string) {
	h := c.history
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	c.fate, c.shown, c.to = f, shown, h.clock
}

// Len returns how many operations have begun.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.calls)
}

// Keys returns the keys that operations concern, in no order.
func (h *History) Keys() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	keys := map[string]bool{}
	for _, c := range h.calls {
		keys[c.op.Key] = true
	}
	return slices.Collect(maps.Keys(keys))
}

// String tells an operation and what came of it, with its place in the history.
func (c *Call) String() string {
	what := "read"
	switch c.op.Kind {
	case Read:
		if c.fate == done {
			what = fmt.Sprintf("read %s", name(c.shown))
		}
	case Write:
		what = fmt.Sprintf("write %s", name(c.op.Value))
	case Swap:
		what = fmt.Sprintf("swap %s for %s", name(c.op.Old), name(c.op.Value))
	}
	switch c.fate {
	case failed:
		what += ", refused"
	case unknown:
		return fmt.Sprintf("%s, of unknown outcome [%d-", what, c.from)
	case done, withdrawn:
	}
	return fmt.Sprintf("%s [%d-%d]", what, c.from, c.to)
}

func name(value string) string {
	if value == "" {
		return "nothing"
	}
	return value
}
