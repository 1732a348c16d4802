package store

import (
	"slices"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// Cond is the condition of a request on the key that it writes, as in
// RFC 9110 section 13. The zero value always holds.
type Cond struct {
	Match     Tags // holds if the key is there with one of the tags
	NoneMatch Tags // holds unless the key is there with one of the tags
}

// Tags is a list of entity tags. The tag of an entry is the position of its
// last write; a tag of any other form matches no entry and need not be listed.
type Tags struct {
	Given     bool                // the zero list was not given and asks nothing
	Any       bool                // "*": every entry that is there
	Positions []protocol.Position // the tags
}

func (t Tags) match(e *Entry) bool {
	return e != nil && (t.Any || slices.Contains(t.Positions, e.Position))
}

// HoldsMatch tells whether the first part of the condition holds for e, nil if
// the key is not there.
func (c *Cond) HoldsMatch(e *Entry) bool { return !c.Match.Given || c.Match.match(e) }

// HoldsNoneMatch tells whether the second part of the condition holds for e,
// nil if the key is not there.
func (c *Cond) HoldsNoneMatch(e *Entry) bool { return !c.NoneMatch.Given || !c.NoneMatch.match(e) }

// Check returns precondition_failed, with the tag that the key has, unless the
// condition holds. e is nil if the key is not there.
func (c *Cond) Check(key string, e *Entry) error {
	if c.HoldsMatch(e) && c.HoldsNoneMatch(e) {
		return nil
	}
	if e == nil {
		return problem.Errorf(problem.PreconditionFailed, "key %s is not there, and the request wants it to be", quote(key))
	}
	return problem.Errorf(problem.PreconditionFailed, "key %s has the ETag \"%s\", which the condition of the request excludes: read it again", quote(key), e.Position)
}
