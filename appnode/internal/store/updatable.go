package store

import (
	"slices"

	"understudy.example/pkg/problem"
)

// Updatable tells whether key may be set and deleted. Without a profile every
// key may.
func (p *Profile) Updatable(key string) bool {
	if p == nil {
		return true
	}
	if p.readOnly[key] {
		return false
	}
	if !p.refuseRest {
		return true
	}
	_, ok := p.initial[key]
	return ok
}

// check refuses ops of which one is on a key that may not be updated. The
// sentence names every such key, and those that may be updated.
func (p *Profile) check(ops []Op) error {
	if p == nil || !slices.ContainsFunc(ops, func(op Op) bool { return !p.Updatable(op.Key) }) {
		return nil
	}
	var refused []string
	for i := range ops {
		if !p.Updatable(ops[i].Key) {
			refused = append(refused, ops[i].Key)
		}
	}
	noun := "key "
	if len(refused) > 1 {
		noun = "keys "
	}
	return problem.Errorf(problem.NotUpdatable, "%s%s cannot be updated, so nothing was: %s", noun, quoteAll(refused), p.allowed())
}

// allowed says in words which keys can be updated.
func (p *Profile) allowed() string {
	var keys []string
	for key := range p.initial {
		if !p.readOnly[key] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if !p.refuseRest {
		text := "every key can be updated except " + quoteAll(p.readOnlyKeys())
		if len(keys) > 0 {
			text += "; of the initial keys " + quoteAll(keys)
		}
		return text
	}
	if len(keys) == 0 {
		return "the profile lets no key be updated"
	}
	return "the keys that can be updated are " + quoteAll(keys)
}
