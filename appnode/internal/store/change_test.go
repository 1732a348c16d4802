package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

func TestChangeUnderAPrefix(t *testing.T) {
	set := func(key string) Op { return Op{Key: key, Value: []byte("v")} }
	all := []Op{set("a/1"), {Key: "b/1", Delete: true}, set("a/2"), set("a")}
	for prefix, want := range map[string][]Op{
		"":     all,
		"a":    {all[0], all[2], all[3]},
		"a/":   {all[0], all[2]},
		"b":    {all[1]},
		"a/11": nil,
		"c":    nil,
	} {
		c := Change{Position: protocol.Position{Epoch: 1, Seq: 2}, Ops: all}
		got, touched := c.Under(prefix)
		require.Equal(t, len(want) > 0, touched, prefix)
		if touched {
			require.Equal(t, want, got.Ops, prefix)
		}
		require.Equal(t, c.Position, got.Position)
	}
	require.Equal(t, "a/1b/1a/2a", all[0].Key+all[1].Key+all[2].Key+all[3].Key, "the original stays")
	_, touched := Change{}.Under("")
	require.False(t, touched, "a record without effects touches nothing")
}

func TestOpsOfABatch(t *testing.T) {
	ops := []Op{{Key: "a", Value: []byte("1")}, {Key: "b", Delete: true}, {Key: "c", Value: []byte{}}}
	payload := AppendBatch(nil, 7, ops)
	got, err := OpsOf(payload)
	require.NoError(t, err)
	require.Equal(t, ops, got)
	for n := range payload {
		_, err := OpsOf(payload[:n])
		require.ErrorIs(t, err, errBatch, n)
	}
	_, err = OpsOf(append(payload, 0))
	require.ErrorIs(t, err, errBatch)
}

func TestInitialOpsOfAProfile(t *testing.T) {
	ops, err := InitialOps([]byte(`{"initial": {"b": "2", "a": "1"}, "read_only": ["b"]}`))
	require.NoError(t, err)
	require.Equal(t, []Op{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}}, ops)
	ops, err = InitialOps([]byte(`{}`))
	require.NoError(t, err)
	require.Empty(t, ops)
	_, err = InitialOps([]byte(`[]`))
	require.Error(t, err)
}
