package store

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

func TestBatchRoundTrip(t *testing.T) {
	for name, ops := range map[string][]Op{
		"none":  nil,
		"set":   {set("key", "value")},
		"empty": {{Key: "key", Value: []byte{}}},
		"mixed": {set("a", "1"), del("b"), set("a/é", "\xff\x00"), del(strings.Repeat("k", MaxKey))},
		"large": {set("a", strings.Repeat("v", MaxValue))},
	} {
		t.Run(name, func(t *testing.T) {
			payload := AppendBatch(nil, -7, ops)
			groupTime, got, err := ParseBatch(payload)
			require.NoError(t, err)
			require.Equal(t, int64(-7), groupTime)
			require.Equal(t, ops, got)
			for n := range min(len(payload), 2000) {
				_, _, err := ParseBatch(payload[:n])
				require.ErrorIs(t, err, errBatch, "cut at %d", n)
			}
			_, _, err = ParseBatch(append(payload, 0))
			require.ErrorIs(t, err, errBatch)
		})
	}
}

// rawBatch is a payload with a count and the bytes of its ops as given.
func rawBatch(count uint64, ops ...byte) []byte {
	return append(binary.AppendUvarint(make([]byte, 8), count), ops...)
}

func TestBatchRefusesDamage(t *testing.T) {
	overlong := append(rawBatch(1), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	for name, payload := range map[string][]byte{
		"empty":            {},
		"count too high":   rawBatch(1<<62, 2, 0, 'a'),
		"empty key":        rawBatch(1, 0, 0),
		"key not UTF-8":    rawBatch(1, 3, 0xff),
		"key too long":     append(rawBatch(1, binary.AppendUvarint(nil, (MaxKey+1)<<1|1)...), make([]byte, MaxKey+1)...),
		"value too long":   append(rawBatch(1, append([]byte{2}, binary.AppendUvarint(nil, MaxValue+1)...)...), make([]byte, MaxValue+2)...),
		"sum overflows":    rawBatch(1, append([]byte{2}, binary.AppendUvarint(nil, 1<<64-1)...)...),
		"overlong varint":  overlong,
		"fewer than said":  rawBatch(2, 3, 'a'),
		"more than said":   rawBatch(1, 3, 'a', 3, 'b'),
		"second op is bad": rawBatch(2, 2, 1, 'a', 'x', 3, 0xff),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := ParseBatch(payload)
			require.ErrorIs(t, err, errBatch)
			m := NewMap()
			pos := apply(t, m, set("a", "1"))
			require.ErrorIs(t, m.ApplyBatch(at(1, 2), nil, payload), errBatch)
			require.Equal(t, map[string]Entry{"a": {"1", pos}}, contents(m.View()), "a refused batch changes nothing")
			require.Equal(t, pos, m.Position())
		})
	}
}

func TestApplyBatch(t *testing.T) {
	m := NewMap()
	payload := AppendBatch(nil, 50, []Op{set("a", "1"), set("b", "2"), del("b"), del("absent"), set("c", "3")})
	require.NoError(t, m.ApplyBatch(at(1, 1), nil, payload))
	clear(payload) // the caller may reuse its buffer
	require.Equal(t, map[string]Entry{"a": {"1", at(1, 1)}, "c": {"3", at(1, 1)}}, contents(m.View()))
	require.Equal(t, int64(50), m.GroupTime())
	require.NoError(t, m.ApplyBatch(at(2, 2), nil, AppendBatch(nil, 40, []Op{set("a", "4")})))
	require.Equal(t, int64(50), m.GroupTime(), "group time never goes back")
	require.Equal(t, map[string]Entry{"a": {"4", at(2, 2)}, "c": {"3", at(1, 1)}}, contents(m.View()))
}

func TestRecordsAreAppliedInOrder(t *testing.T) {
	m := NewMap()
	require.NoError(t, m.ApplyEpochStart(at(3, 1)))
	for _, pos := range []protocol.Position{{}, at(3, 1), at(3, 3), at(2, 2)} {
		require.ErrorContains(t, m.ApplyEpochStart(pos), "does not follow 3.1")
		require.ErrorContains(t, m.ApplyBatch(pos, nil, AppendBatch(nil, 0, nil)), "does not follow 3.1")
		require.ErrorContains(t, m.ApplyProfile(pos, []byte("{}")), "does not follow 3.1")
	}
	require.NoError(t, m.ApplyEpochStart(at(4, 2)))
	require.Equal(t, at(4, 2), m.Position())
	require.Zero(t, m.Len())
	require.Zero(t, m.GroupTime())
}

func TestApplyProfile(t *testing.T) {
	m := NewMap()
	apply(t, m, set("name", "kept"))
	before := m.View()
	require.Error(t, m.ApplyProfile(at(1, 2), []byte(`{"initial": 1}`)))
	require.Nil(t, m.Profile())
	require.NoError(t, m.ApplyProfile(at(1, 2), []byte(`{"initial": {"name": "x", "id": "1"}, "read_only": ["id"]}`)))
	require.Equal(t, map[string]Entry{"name": {"kept", at(1, 1)}, "id": {"1", at(1, 2)}}, contents(m.View()))
	require.False(t, m.Profile().Updatable("id"))
	require.Nil(t, before.Profile())
	require.NoError(t, m.ApplyProfile(at(1, 3), []byte(`{"initial": {"later": "x"}}`)))
	require.Equal(t, 2, m.Len(), "only the first profile brings its initial map")
	require.True(t, m.Profile().Updatable("id"))
	require.Equal(t, at(1, 3), m.Position())
}

func FuzzParseBatch(f *testing.F) {
	f.Add(AppendBatch(nil, 1, []Op{set("a", "1"), del("b")}))
	f.Add(AppendBatch(nil, 0, nil))
	f.Add(rawBatch(1<<62, 2, 0, 'a'))
	f.Fuzz(func(t *testing.T, payload []byte) {
		groupTime, ops, err := ParseBatch(payload)
		m := NewMap()
		applied := m.ApplyBatch(at(1, 1), nil, payload)
		require.Equal(t, err == nil, applied == nil)
		if err != nil {
			require.Zero(t, m.Len())
			return
		}
		again, same, err := ParseBatch(AppendBatch(nil, groupTime, ops))
		require.NoError(t, err)
		require.Equal(t, groupTime, again)
		require.Equal(t, ops, same)
	})
}
