package protocol

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPosition(t *testing.T) {
	p := Position{Epoch: 3, Seq: 1042}
	require.Equal(t, "3.1042", p.String())
	b, err := json.Marshal(map[string]Position{"at": p})
	require.NoError(t, err)
	require.JSONEq(t, `{"at":"3.1042"}`, string(b))
	var back map[string]Position
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, p, back["at"])
}

func TestParsePositionRefuses(t *testing.T) {
	for _, s := range []string{"", ".", "3", "3.", ".4", "3.4.5", "-1.2", "+1.2", "1. 2", "0x1.2", "18446744073709551616.1", "a.b"} {
		_, err := ParsePosition(s)
		require.ErrorContains(t, err, "is not of the form epoch.seq", s)
	}
}

func TestPositionsAreOrderedByEpochFirst(t *testing.T) {
	want := []Position{{}, {0, 1}, {1, 0}, {1, 9}, {2, 1}, {2, 3}, {10, 2}}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Position.Compare)
	require.Equal(t, want, got)
	require.Zero(t, Position{2, 3}.Compare(Position{2, 3}))
}

func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"0.0", "3.1042", "18446744073709551615.18446744073709551615", "1.", "..", "007.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePosition(s)
		if err != nil {
			require.Zero(t, p)
			return
		}
		again, err := ParsePosition(p.String())
		require.NoError(t, err)
		require.Equal(t, p, again)
	})
}

func TestBoot(t *testing.T) {
	for text, b := range map[string]Boot{"": {}, "4-91c2f07a": {4, "91c2f07a"}, "0-x": {0, "x"}, "1-a-b": {1, "a-b"}} {
		got, err := b.MarshalText()
		require.NoError(t, err)
		require.Equal(t, text, string(got))
		back := Boot{9, "old"}
		require.NoError(t, back.UnmarshalText([]byte(text)))
		require.Equal(t, b, back)
	}
	for _, text := range []string{"4", "4-", "-x", "x-4", "-1-x", "18446744073709551616-x"} {
		var b Boot
		require.ErrorContains(t, b.UnmarshalText([]byte(text)), "is not of the form count-nonce", text)
	}
}

func FuzzBoot(f *testing.F) {
	for _, s := range []string{"", "4-91c2f07a", "1-a-b", "00-x", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var b, again Boot
		if b.UnmarshalText([]byte(s)) != nil {
			return
		}
		text, err := b.MarshalText()
		require.NoError(t, err)
		require.NoError(t, again.UnmarshalText(text))
		require.Equal(t, b, again)
	})
}

func TestGroupRecordSets(t *testing.T) {
	r := GroupRecord{InSync: []UUID{"a"}, Members: []UUID{"a", "b"}, Leaving: []UUID{"c"}, Down: []UUID{"d"}}
	require.True(t, r.IsInSync("a") && r.IsMember("b") && r.IsLeaving("c") && r.IsDown("d"))
	require.False(t, r.IsInSync("b") || r.IsMember("c") || r.IsLeaving("d") || r.IsDown("a"))

	c := r.clone()
	require.Equal(t, r, c)
	c.InSync[0], c.Members[0], c.Leaving[0], c.Down[0] = "x", "x", "x", "x"
	require.True(t, r.IsInSync("a") && r.IsMember("a") && r.IsLeaving("c") && r.IsDown("d"), "a clone shares nothing")
}

func TestStatesAreListedOnce(t *testing.T) {
	states := States()
	require.Len(t, states, 11)
	slices.Sort(states)
	require.Len(t, slices.Compact(states), 11)
}
