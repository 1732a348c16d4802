package rival

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func parse(s string) (reply, error) { return readReply(bufio.NewReader(strings.NewReader(s)), 0) }

func TestReplies(t *testing.T) {
	for in, want := range map[string]reply{
		"+OK\r\n":                             {text: "OK"},
		":-7\r\n":                             {number: -7},
		"$-1\r\n":                             {null: true},
		"*-1\r\n":                             {null: true},
		"$0\r\n\r\n":                          {},
		"$4\r\na\r\nb\r\n":                    {text: "a\r\nb"},
		"*0\r\n":                              {array: []reply{}},
		"*3\r\n+a\r\n:1\r\n*1\r\n$1\r\nb\r\n": {array: []reply{{text: "a"}, {number: 1}, {array: []reply{{text: "b"}}}}},
	} {
		got, err := parse(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
}

func TestRepliesThatAreWrong(t *testing.T) {
	_, err := parse("-READONLY no\r\n")
	require.Equal(t, refusal("READONLY no"), err)
	require.ErrorContains(t, err, "the server answered: READONLY no")
	for in, want := range map[string]error{
		"":                              io.EOF,
		"$3\r\nab":                      io.ErrUnexpectedEOF,
		"*2\r\n+a\r\n":                  io.EOF,
		"\r\n":                          errProtocol,
		"+no end\n":                     errProtocol,
		"?x\r\n":                        errProtocol,
		":x\r\n":                        errProtocol,
		"$-2\r\n":                       errProtocol,
		"$99999999999\r\n":              errProtocol,
		"*99999999999\r\n":              errProtocol,
		"$1\r\nabc":                     errProtocol,
		"+" + strings.Repeat("x", 9000): errProtocol,
		strings.Repeat("*1\r\n", 20):    errProtocol,
	} {
		_, err := parse(in)
		require.ErrorIs(t, err, want, "%.20q", in)
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "-no\r\n", ":1\r\n", "$1\r\na\r\n", "*2\r\n+a\r\n$-1\r\n", "*1048576\r\n", "$67108864\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parse(s)
		if err == nil && len(r.text) > len(s) {
			t.Fatalf("a text of %d bytes out of %d", len(r.text), len(s))
		}
	})
}
