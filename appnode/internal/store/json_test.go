package store

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAppendJSON(t *testing.T) {
	m := NewMap()
	require.Equal(t, `{}`, string(m.View().AppendJSON(nil)))
	apply(t, m, set("b", "2"), set("a", "q\"\\\n\r\t\x00\x1f\x7f<é😀"), set("c\n", ""), set("raw", "\xff\xfe"))
	want := `{"a":"q\"\\\n\r\t\u0000\u001f` + "\x7f" + `<é😀","b":"2","c\n":"","raw":{"base64":"//4="}}`
	v := m.View()
	require.Equal(t, "x"+want, string(v.AppendJSON([]byte("x"))))
	require.Equal(t, want, string(v.JSON()))
	require.True(t, json.Valid(v.JSON()))
	var out strings.Builder
	require.NoError(t, v.WriteJSON(&out))
	require.Equal(t, want, out.String())
}

func TestJSONIsMadeOnceForEachView(t *testing.T) {
	m := NewMap()
	apply(t, m, set("a", "1"))
	v := m.View()
	text := v.JSON()
	require.Same(t, &text[0], &v.JSON()[0])
	apply(t, m, set("a", "2"))
	require.JSONEq(t, `{"a":"2"}`, string(m.View().JSON()))
	require.JSONEq(t, `{"a":"1"}`, string(v.JSON()))
}

// brokenWriter fails after some writes.
type brokenWriter struct{ left int }

var errBroken = errors.New("broken")

func (w *brokenWriter) Write(b []byte) (int, error) {
	if w.left--; w.left < 0 {
		return 0, errBroken
	}
	return len(b), nil
}

func TestLargeMapIsWrittenInPieces(t *testing.T) {
	m := NewMap()
	value := strings.Repeat("v", 100<<10)
	for key := range strings.SplitSeq("abcdefghijkl", "") {
		apply(t, m, set(key, value))
	}
	v := m.View()
	require.Nil(t, v.JSON())
	var out strings.Builder
	require.NoError(t, v.WriteJSON(&out))
	require.Equal(t, string(v.AppendJSON(nil)), out.String())
	for n := range 12 {
		require.ErrorIs(t, v.WriteJSON(&brokenWriter{n}), errBroken)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add("a", "b")
	f.Add("\x00\"", "\xff")
	f.Fuzz(func(t *testing.T, key, value string) {
		req, err := Put(key, []byte(value), Cond{})
		if err != nil {
			return
		}
		m := NewMap()
		effects, err := m.Judge(req)
		require.NoError(t, err)
		apply(t, m, effects...)
		var got map[string]any
		require.NoError(t, json.Unmarshal(m.View().JSON(), &got))
		require.Len(t, got, 1)
		require.Contains(t, got, key)
		if text, ok := got[key].(string); ok {
			require.Equal(t, value, text)
		}
	})
}
