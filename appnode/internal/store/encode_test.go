package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/requestid"
)

// full is a map with everything that a state has.
func full(t testing.TB) *Map {
	m := NewMap()
	require.NoError(t, m.ApplyEpochStart(at(1, 1)))
	require.NoError(t, m.ApplyProfile(at(1, 2), []byte(`{"initial": {"id": "1", "name": "Ada"}, "read_only": ["id"], "other_keys": "refuse"}`)))
	require.NoError(t, m.ApplyBatch(at(300, 3), nil, AppendBatch(nil, 1_700_000_000_000_000_000, []Op{
		set("name", "Grace"), set("raw", "\xff\x00"), set("empty", ""), set(strings.Repeat("é", 512), strings.Repeat("v", 300)),
	})))
	for n := range uint64(3) {
		req, now := put(t, "name", "Mary", Cond{}), m.GroupTime()+1
		require.True(t, carry(t, m, req.Named(serial(n+5, n+4), 1<<60), now).Recorded)
		require.True(t, carry(t, m, req.Named(requestid.ID{Session: requestid.Session{2}, Birth: 2, Serial: n + 1}, 1<<61), now).Recorded)
		require.True(t, carry(t, m, req.Named(requestid.ID{Key: fmt.Sprint("key-", 9-n)}, 1<<62), now).Recorded)
	}
	m.ids.horizon = 300
	return m
}

func encode(t testing.TB, v *View) []byte {
	var b bytes.Buffer
	require.NoError(t, v.EncodeTo(&b))
	return b.Bytes()
}

func requireSame(t testing.TB, want, got *View) {
	require.Equal(t, contents(want), contents(got))
	require.Equal(t, want.Position(), got.Position())
	require.Equal(t, want.GroupTime(), got.GroupTime())
	require.Equal(t, want.Profile(), got.Profile())
	require.Equal(t, want.Bytes(), got.Bytes())
	require.Equal(t, want.Len(), got.Len())
	require.Equal(t, idsOf(&want.ids), idsOf(&got.ids))
}

func TestEncodeRoundTrip(t *testing.T) {
	many := NewMap()
	for i := range 3000 {
		apply(t, many, set(fmt.Sprint(i), fmt.Sprint(i)))
	}
	for name, m := range map[string]*Map{"empty": NewMap(), "full": full(t), "many": many} {
		t.Run(name, func(t *testing.T) {
			text := encode(t, m.View())
			got, err := DecodeMap(iotest.HalfReader(bytes.NewReader(text)))
			require.NoError(t, err)
			requireSame(t, m.View(), got.View())
			require.Equal(t, text, encode(t, got.View()))
			pos := m.Position()
			pos.Seq++
			require.NoError(t, got.ApplyBatch(pos, nil, AppendBatch(nil, 0, []Op{set("15", "new"), del("id")})), "it goes on where it was")
		})
	}
}

func TestDecodeRefusesEveryCut(t *testing.T) {
	text := encode(t, full(t).View())
	for n := range text {
		m, err := DecodeMap(bytes.NewReader(text[:n]))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut at %d", n)
		require.Nil(t, m)
	}
	_, err := DecodeMap(bytes.NewReader(append(text, 0)))
	require.ErrorContains(t, err, "bytes follow its end")
}

func TestDecodeRefusesDamage(t *testing.T) {
	header := []byte{stateFormat, 1, 1, 0, 0} // format, position, time, no profile
	entry := func(key string) []byte { return append([]byte{1, 1, byte(len(key)), 0}, key...) }
	// One session with its answers, all of record 1.1, and one key.
	session := func(name byte, lowest uint64, serials ...uint64) []byte {
		b := append(append([]byte{name}, make([]byte, 15)...), 1, byte(lowest), 0, byte(len(serials)))
		for _, n := range serials {
			b = append(b, append(append([]byte{byte(n)}, make([]byte, 8)...), 0xc8, 1, 1, 1)...)
		}
		return b
	}
	keyed := func(key string, time int64, status uint64, seq byte) []byte {
		b := binary.AppendVarint(append([]byte{byte(len(key))}, key...), time)
		return append(binary.AppendUvarint(append(b, make([]byte, 8)...), status), 1, seq)
	}
	noEntries := append(header[:5:5], 0)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, tc := range map[string]struct {
		text     []byte
		sentence string
	}{
		"format":           {[]byte{9, 0, 0, 0, 0, 0}, "it has format 9, and this release reads format 2"},
		"profile too long": {binary.AppendUvarint([]byte{stateFormat, 1, 1, 0}, 1<<40), "above the limit"},
		"profile":          {join([]byte{stateFormat, 1, 1, 0, 2}, []byte("[]"), []byte{0}), "the profile is not valid"},
		"count":            {binary.AppendUvarint(header, 1<<50), "above the limit"},
		"empty key":        {join(header, []byte{1}, entry("")), "the key is empty"},
		"key not UTF-8":    {join(header, []byte{1}, entry("\xff")), "is not UTF-8"},
		"key twice":        {join(header, []byte{2}, entry("a"), entry("a")), `key "a" comes after key "a"`},
		"key order":        {join(header, []byte{2}, entry("b"), entry("a")), `key "a" comes after key "b"`},
		"key too long":     {join(header, []byte{1, 1, 1}, binary.AppendUvarint(nil, MaxKey+1)), "above the limit"},
		"value too long":   {join(header, []byte{1, 1, 1, 1}, binary.AppendUvarint(nil, MaxValue+1)), "above the limit"},
		"session twice":    {join(noEntries, []byte{0, 2}, session(2, 1), session(2, 1)), "session 02000000000000000000000000000000 comes after"},
		"session order":    {join(noEntries, []byte{0, 2}, session(3, 1), session(2, 1)), "comes after session 03"},
		"no session":       {join(noEntries, []byte{0, 1}, session(0, 1)), "comes after session 00"},
		"answer twice":     {join(noEntries, []byte{0, 1}, session(2, 1, 5, 5)), "answer 5 of session 02000000000000000000000000000000 comes after 5"},
		"answer order":     {join(noEntries, []byte{0, 1}, session(2, 1, 6, 5)), "comes after 6"},
		"answer forgotten": {join(noEntries, []byte{0, 1}, session(2, 6, 5)), "with 6 as the lowest"},
		"answer 0":         {join(noEntries, []byte{0, 1}, session(2, 0, 0)), "answer 0"},
		"answer to come":   {join(noEntries, []byte{0, 0, 1}, keyed("a", 1, 200, 2)), "the position 1.2 in a state at 1.1"},
		"answer's status":  {join(noEntries, []byte{0, 0, 1}, keyed("a", 1, 100, 1)), "no answer has the status 100"},
		"key twice, ids":   {join(noEntries, []byte{0, 0, 2}, keyed("a", 1, 200, 0), keyed("a", 1, 200, 1)), "or comes twice"},
		"age of positions": {join(noEntries, []byte{0, 0, 2}, keyed("a", 1, 200, 1), keyed("b", 1, 200, 1)), "is not younger"},
		"age of times":     {join(noEntries, []byte{0, 0, 2}, keyed("a", 2, 200, 0), keyed("b", 1, 200, 1)), "is not younger"},
		"key's form":       {join(noEntries, []byte{0, 0, 1}, keyed("\n", 1, 200, 1)), "printable ASCII"},
		"sessions' count":  {join(noEntries, []byte{0}, binary.AppendUvarint(nil, 1<<50)), "above the limit"},
		"number too long":  {join([]byte{stateFormat}, bytes.Repeat([]byte{0xff}, 11)), "overflows"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeMap(bytes.NewReader(tc.text))
			require.ErrorContains(t, err, tc.sentence)
		})
	}
}

func TestEncodeAndDecodePassErrorsOn(t *testing.T) {
	m := NewMap()
	for i := range 10 {
		apply(t, m, set(fmt.Sprint(i), strings.Repeat("v", 30<<10)))
	}
	text := encode(t, m.View())
	for n := range 5 {
		require.ErrorIs(t, m.View().EncodeTo(&brokenWriter{n}), errBroken, "write %d", n)
	}
	for _, n := range []int{0, 3, 100, len(text)} {
		_, err := DecodeMap(io.MultiReader(bytes.NewReader(text[:n]), iotest.ErrReader(errBroken)))
		require.ErrorIs(t, err, errBroken, "an error in place of the end, as of a checksum, is an error")
	}
}

func FuzzDecodeMap(f *testing.F) {
	f.Add(encode(f, full(f).View()))
	f.Add(encode(f, NewMap().View()))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := DecodeMap(bytes.NewReader(text))
		if err != nil {
			return
		}
		again, err := DecodeMap(bytes.NewReader(encode(t, m.View())))
		require.NoError(t, err)
		requireSame(t, m.View(), again.View())
	})
}
