package store

import (
	"slices"
	"strings"

	"understudy.example/pkg/protocol"
)

// Change is what one committed record did to the map. It is never changed once
// made.
type Change struct {
	Position protocol.Position
	Ops      []Op
}

// Under tells whether c touches keys that begin with prefix, and returns it as
// far as it does.
func (c Change) Under(prefix string) (Change, bool) {
	touched := 0
	for i := range c.Ops {
		if strings.HasPrefix(c.Ops[i].Key, prefix) {
			touched++
		}
	}
	if touched > 0 && touched < len(c.Ops) {
		others := func(op Op) bool { return !strings.HasPrefix(op.Key, prefix) }
		c.Ops = slices.DeleteFunc(slices.Clone(c.Ops), others)
	}
	return c, touched > 0
}

// OpsOf returns the ops of a batch record, as ParseBatch does, but their values
// are parts of the payload.
func OpsOf(payload []byte) ([]Op, error) {
	r, err := openBatch(payload)
	if err != nil {
		return nil, err
	}
	ops := make([]Op, 0, r.count)
	for range r.count {
		raw, err := r.next()
		if err != nil {
			return nil, err
		}
		op := Op{Key: string(raw.text[:raw.key]), Delete: raw.delete}
		if !raw.delete {
			op.Value = raw.text[raw.key:]
		}
		ops = append(ops, op)
	}
	return ops, r.end()
}

// InitialOps returns what the first profile of a group does to its empty map,
// in the order of the keys.
func InitialOps(payload []byte) ([]Op, error) {
	p, err := ParseProfile(payload)
	if err != nil {
		return nil, err
	}
	ops := make([]Op, 0, len(p.initial))
	for key, value := range p.initial {
		ops = append(ops, Op{Key: key, Value: []byte(value)})
	}
	slices.SortFunc(ops, func(a, b Op) int { return strings.Compare(a.Key, b.Key) })
	return ops, nil
}
