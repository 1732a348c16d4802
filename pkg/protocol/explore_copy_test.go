package protocol

import (
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// copyForExploring returns a replica that shares nothing with r that either of
// them changes in place.
func (r *Replica) copyForExploring() *Replica {
	c := *r
	c.boundaries = slices.Clone(r.boundaries)
	c.out = slices.Clone(r.out)
	if g := r.reign; g != nil {
		h := *g
		h.peers = make(map[UUID]*peer, len(g.peers))
		for u, p := range g.peers {
			q := *p
			h.peers[u] = &q
		}
		h.asked.set = slices.Clone(g.asked.set)
		h.asked.added = slices.Clone(g.asked.added)
		h.appends.entries = slices.Clone(g.appends.entries)
		c.reign = &h
	}
	return &c
}

// A field that is new to one of these types needs a look: at copyForExploring,
// which must copy what is shared, and at the fingerprint, which must tell apart
// states that behave differently.
func TestExplorationKnowsEveryField(t *testing.T) {
	for _, c := range []struct {
		of     any
		fields int
	}{
		{Replica{}, 15},
		{reign{}, 11},
		{peer{}, 16},
		{asked{}, 4},
		{follow{}, 4},
		{rounds{}, 2},
		{appendTimes{}, 1},
		{slowness{}, 4},
		{GroupRecord{}, 10},
		{NodeEntry{}, 8},
		{Registry{}, 8}, // Adopted stays 0: nobody adopts here
	} {
		require.Equal(t, c.fields, reflect.TypeOf(c.of).NumField(), "%T has other fields than the exploration knows", c.of)
	}
}
