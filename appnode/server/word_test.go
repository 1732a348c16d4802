package server

import (
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// A word that was under way for long changes nothing, whether a record is newer since
// or only the settings.
func TestAnOldWordIsNotLearnt(t *testing.T) {
	word := func(version protocol.Version, event uint64) *wire.Assignment {
		return &wire.Assignment{Event: event, Groups: []protocol.GroupRecord{{Group: group, Version: version}}}
	}
	newest := word(7, 20)
	for _, c := range []struct {
		word   *wire.Assignment
		learnt bool
	}{
		{word(7, 20), true},
		{word(7, 21), true},
		{word(8, 3), true}, // of a registry that was rebuilt
		{word(7, 19), false},
		{word(6, 25), false},
	} {
		n := &node{log: zerolog.Nop()}
		n.learn(newest)
		n.learn(c.word)
		require.Equal(t, c.learnt, n.known.Load() == c.word)
	}
}
