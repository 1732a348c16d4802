package store

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

// colliding returns two keys of the same hash.
func colliding(t *testing.T) (string, string) {
	seen := map[uint32]string{}
	for i := range 1_000_000 {
		key := strconv.Itoa(i)
		if other, ok := seen[hashOf(key)]; ok {
			return other, key
		}
		seen[hashOf(key)] = key
	}
	require.Fail(t, "no two keys of the same hash")
	return "", ""
}

func TestKeysOfTheSameHashAreApart(t *testing.T) {
	one, two := colliding(t)
	answer := func(seq uint64) Answer {
		return Answer{Hash: seq, Position: protocol.Position{Epoch: 1, Seq: protocol.Seq(seq)}, Status: 204}
	}
	var table keyTable
	table.add(&keyed{key: one, answer: answer(1), time: 1})
	require.Nil(t, table.get(two))
	before := table.share()
	table.add(&keyed{key: two, answer: answer(2), time: 2})
	require.Equal(t, answer(1), table.get(one).answer)
	require.Equal(t, answer(2), table.get(two).answer)
	require.Equal(t, 2, table.len())
	require.Nil(t, before.get(two), "a table that shares with it is as it was")

	both := table.share()
	table.expire(1 + int64(KeepFor) + 1)
	require.Nil(t, table.get(one))
	require.Equal(t, answer(2), table.get(two).answer)
	table.expire(2 + int64(KeepFor) + 1)
	require.Nil(t, table.get(two))
	require.Zero(t, table.len())
	require.Zero(t, table.byHash.Len())
	require.Equal(t, answer(1), both.get(one).answer)
	require.Equal(t, answer(2), both.get(two).answer)
}
