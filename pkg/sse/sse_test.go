package sse

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestWrittenEventsAreReadBack(t *testing.T) {
	var text []byte
	text = AppendComment(text, "hello")
	text = Append(text, "3.7", "batch", []byte(`{"a":1}`))
	text = Append(text, "", "snapshot", []byte("two\nlines"))
	text = Append(text, "3.9", "", nil)
	require.Equal(t, ": hello\n\nid: 3.7\nevent: batch\ndata: {\"a\":1}\n\nevent: snapshot\ndata: two\ndata: lines\n\nid: 3.9\n\n", string(text))

	for _, in := range []io.Reader{bytes.NewReader(text), iotest.OneByteReader(bytes.NewReader(text))} {
		r := NewReader(in, 1000)
		var raw []byte
		next := func() Event {
			e, err := r.Next()
			require.NoError(t, err)
			raw = append(raw, e.Raw...)
			e.Raw = nil
			return e
		}
		require.Equal(t, Event{}, next())
		require.Equal(t, Event{ID: "3.7", HasID: true, Name: "batch", Data: []byte(`{"a":1}`)}, next())
		require.Equal(t, Event{Name: "snapshot", Data: []byte("two\nlines")}, next())
		require.Equal(t, Event{ID: "3.9", HasID: true}, next())
		_, err := r.Next()
		require.Equal(t, io.EOF, err)
		require.Equal(t, string(text), string(raw))
	}
}

func TestOnlyAWholeBlockIsBuffered(t *testing.T) {
	for rest, want := range map[string]bool{
		"":                          false,
		"\n\r\n":                    false,
		"event: b\n":                false,
		"\nevent: b\r\n":            false,
		"data: x\n\n":               true,
		"data: x\r\n\r\n":           true,
		"\n\ndata: x\n\n":           true,
		": comment\n\nevent: b\n":   true,
		"id: 1\ndata: x\ndata: y\n": false,
	} {
		r := NewReader(strings.NewReader("data: first\n\n"+rest), 100)
		require.False(t, r.Buffered(), "nothing has been read")
		_, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, want, r.Buffered(), "%q", rest)
	}
}

func TestWhatOthersWriteIsRead(t *testing.T) {
	cases := map[string]Event{
		"data:x\r\n\r\n":             {Data: []byte("x")},
		"data\n\n":                   {Data: []byte{}},
		"data: \ndata:\n\n":          {Data: []byte("\n")},
		"id\ndata: x\n\n":            {HasID: true, Data: []byte("x")},
		"id: a\x00b\n\n":             {},
		"retry: 100\nunknown: x\n\n": {},
		":\n\n":                      {},
		"\n\n\r\nevent:e\n\n":        {Name: "e"},
		"event: a\nevent: b\n\n":     {Name: "b"},
	}
	for text, want := range cases {
		got, err := NewReader(strings.NewReader(text), 100).Next()
		require.NoError(t, err, text)
		got.Raw = nil
		require.Equal(t, want, got, "%q", text)
	}
}

func TestHalfAnEventIsNone(t *testing.T) {
	for _, text := range []string{"d", "data: x", "data: x\n", "data: x\r", "data: x\r\n\r"} {
		_, err := NewReader(strings.NewReader(text), 100).Next()
		require.Equal(t, io.ErrUnexpectedEOF, err, "%q", text)
	}
	_, err := NewReader(strings.NewReader("\n\n"), 100).Next()
	require.Equal(t, io.EOF, err)
}

func TestBlocksAreBounded(t *testing.T) {
	event := Append(nil, "", "", bytes.Repeat([]byte("x"), 10_000))
	e, err := NewReader(bytes.NewReader(event), len(event)).Next()
	require.NoError(t, err)
	require.Len(t, e.Data, 10_000)
	for _, limit := range []int{0, 1, 5000, len(event) - 1} {
		_, err := NewReader(bytes.NewReader(event), limit).Next()
		require.ErrorIs(t, err, ErrTooLong)
	}
}

func TestAppendRefusesBreaksInItsOwnWords(t *testing.T) {
	require.Panics(t, func() { Append(nil, "a\nb", "", nil) })
	require.Panics(t, func() { Append(nil, "", "a\rb", nil) })
}

// Whatever is read, the blocks are the stream, cut at its empty lines, and a
// block that was read means the same when it is read again.
func FuzzReader(f *testing.F) {
	f.Add([]byte(": c\n\nid: 1\nevent: e\ndata: x\ndata: y\n\n"))
	f.Add([]byte("data: x\r\n\r\nid\n\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := NewReader(bytes.NewReader(text), 1<<16)
		total := 0
		for {
			e, err := r.Next()
			if err != nil {
				break
			}
			total += len(e.Raw)
			require.Contains(t, string(text), string(e.Raw))
			again, err := NewReader(bytes.NewReader(bytes.Clone(e.Raw)), 1<<16).Next()
			require.NoError(t, err)
			require.Equal(t, e, again)
		}
		require.LessOrEqual(t, total, len(text))
	})
}
