package history

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Verdict is what a judgement came to.
type Verdict struct {
	Keys, Operations int
	// Broken says of each key that no order of its operations explains what the
	// clients were told.
	Broken []string
	// Undecided names the keys whose judgement took too long. That proves nothing.
	Undecided []string
}

// Judge judges every key, for at most limit each; 0 is no limit. Operations that
// are still under way count as of unknown outcome.
func (h *History) Judge(limit time.Duration) Verdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	byKey := map[string][]*Call{}
	var keys []string
	for _, c := range h.calls {
		if c.fate == withdrawn || c.op.Kind == Read && c.fate == unknown {
			continue // nobody was told anything by it
		}
		if byKey[c.op.Key] == nil {
			keys = append(keys, c.op.Key)
		}
		byKey[c.op.Key] = append(byKey[c.op.Key], c)
	}
	slices.Sort(keys)
	var v Verdict
	for _, key := range keys {
		ops := operations(byKey[key])
		v.Keys++
		v.Operations += len(ops)
		m := model(h.begin[key])
		switch porcupine.CheckOperationsTimeout(m, ops, limit) {
		case porcupine.Ok:
		case porcupine.Illegal:
			v.Broken = append(v.Broken, fmt.Sprintf("%s: %s", key, explain(m, ops, limit)))
		case porcupine.Unknown:
			v.Undecided = append(v.Undecided, key)
		}
	}
	return v
}

// operations turns the calls on one key into what porcupine judges. A write of
// unknown outcome that nobody saw, by its value or by a refusal, explains nothing
// and can always be put at the end: it is left out. One whose value somebody saw
// was done before that somebody was answered. Without this each such write would
// double the orders to be tried.
func operations(calls []*Call) []porcupine.Operation {
	writers := map[string]int{} // of each value
	seen := map[string]int64{}  // when somebody was first told of the value
	refused := int64(0)         // when a swap was last refused
	for _, c := range calls {
		if c.fate == failed {
			refused = max(refused, c.to)
		}
		if c.op.Kind != Read {
			writers[c.op.Value]++
		}
		value, told := c.saw()
		if at, ok := seen[value]; told && (!ok || c.to < at) {
			seen[value] = c.to
		}
	}
	var ops []porcupine.Operation
	for _, c := range calls {
		end := c.to
		if c.fate == unknown {
			at, ok := seen[c.op.Value]
			switch {
			case !ok && c.from > refused:
				continue
			case ok && writers[c.op.Value] == 1 && at > c.from:
				end = at
			default:
				end = math.MaxInt64
			}
		}
		ops = append(ops, porcupine.Operation{Input: c, Call: c.from, Return: end})
	}
	return ops
}

// saw returns the value that the outcome of a call showed to have been there.
func (c *Call) saw() (value string, ok bool) {
	switch {
	case c.fate != done || c.op.Kind == Write:
		return "", false
	case c.op.Kind == Read:
		return c.shown, true
	}
	return c.op.Old, true
}

// model is one key: its state is the value.
func model(begin string) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return begin },
		Step: func(state, input, _ any) (bool, any) {
			is, c := state.(string), input.(*Call)
			switch c.op.Kind {
			case Read:
				return c.shown == is, is
			case Write:
				return true, c.op.Value
			case Swap:
			}
			if is == c.op.Old {
				return c.fate != failed, c.op.Value
			}
			return c.fate != done, is
		},
	}
}

// lastShown is how many operations of the longest order are told.
const lastShown = 4

// explain tells how far an order of the operations gets, and what cannot be next.
func explain(m porcupine.Model, ops []porcupine.Operation, limit time.Duration) string {
	_, info := porcupine.CheckOperationsVerbose(m, ops, limit)
	var longest []porcupine.Operation
	for _, partial := range info.PartialLinearizationsOperations()[0] {
		if len(partial) > len(longest) {
			longest = partial
		}
	}
	placed := map[any]bool{}
	var before []string
	for i, op := range longest {
		placed[op.Input] = true
		if i >= len(longest)-lastShown {
			before = append(before, op.Input.(*Call).String())
		}
	}
	first := porcupine.Operation{Return: math.MaxInt64, Input: (*Call)(nil)}
	for _, op := range ops {
		if !placed[op.Input] && op.Return <= first.Return {
			first = op
		}
	}
	return fmt.Sprintf("no order explains its %d operations: after %s, nothing fits %v", len(ops), strings.Join(before, ", "), first.Input)
}
