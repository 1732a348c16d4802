package store

import (
	"slices"

	"understudy.example/pkg/problem"
)

// Judge returns what req does to the map as it is now, or why it must not:
// not_updatable, precondition_failed or out_of_memory, a [problem.Error]. It
// changes nothing. All of a request has effect or nothing; a key deleted that
// is not there is no effect and no error. The effects may share memory with the
// request and must not be changed.
func (m *Map) Judge(req *Request) ([]Op, error) {
	if err := m.profile.check(req.ops); err != nil {
		return nil, err
	}
	if req.cond.Match.Given || req.cond.NoneMatch.Given {
		e, _ := m.Get(req.ops[0].Key)
		if err := req.cond.Check(req.ops[0].Key, e); err != nil {
			return nil, err
		}
	}
	effects := m.effects(req.ops)
	if err := m.checkRoom(effects); err != nil {
		return nil, err
	}
	return effects, nil
}

// effects leaves out the deletes of keys that are not there.
func (m *Map) effects(ops []Op) []Op {
	idle := func(op Op) bool {
		if !op.Delete {
			return false
		}
		_, ok := m.Get(op.Key)
		return !ok
	}
	if !slices.ContainsFunc(ops, idle) {
		return ops
	}
	return slices.DeleteFunc(slices.Clone(ops), idle)
}

func (m *Map) checkRoom(ops []Op) error {
	if m.limit == 0 {
		return nil
	}
	var more int64
	for i := range ops {
		op := &ops[i]
		if !op.Delete {
			more += entrySize(len(op.Key), len(op.Value))
		}
		if old, ok := m.Get(op.Key); ok {
			more -= entrySize(len(op.Key), len(old.Value))
		}
	}
	if more > 0 && m.bytes+more > m.limit {
		return problem.Errorf(problem.OutOfMemory, "the map takes %d bytes, the request would add %d, and the limit is %d: delete keys or raise -max-bytes", m.bytes, more, m.limit)
	}
	return nil
}
