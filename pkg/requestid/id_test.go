package requestid

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

var someID = ID{Session: Session{1, 2, 3, 0xff, 15: 9}, Birth: 1042, Serial: 17, Lowest: 12}

const someName = "AQID_wAAAAAAAAAAAAAACQ"

func TestTexts(t *testing.T) {
	require.Equal(t, someName+".1042.17.12", someID.Header())
	require.Equal(t, "us1."+someName+".1042.17", someID.AsKey())
	got, err := ParseHeader(someID.Header())
	require.NoError(t, err)
	require.Equal(t, someID, got)
	got, err = ParseKey(someID.AsKey())
	require.NoError(t, err)
	want := someID
	want.Lowest = 0
	require.Equal(t, want, got, "a key does not tell what else is unanswered")

	widest := ID{Session: Session{15: 1}, Birth: 1<<64 - 1, Serial: 1<<64 - 1, Lowest: 1<<64 - 1}
	got, err = ParseHeader(widest.Header())
	require.NoError(t, err)
	require.Equal(t, widest, got)

	require.Empty(t, ID{}.AsKey())
	require.True(t, ID{}.IsZero())
	require.False(t, someID.IsZero())
	require.Equal(t, "mine", ID{Key: "mine"}.AsKey())
	require.False(t, ID{Key: "mine"}.OfSession())
}

func TestParseHeaderRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":              "",
		"no lowest":          someName + ".1042.17",
		"one too many":       someName + ".1042.17.12.1",
		"lowest above":       someName + ".1042.17.18",
		"serial 0":           someName + ".1042.0.0",
		"no session":         "AAAAAAAAAAAAAAAAAAAAAA.1042.17.12",
		"session too short":  someName[1:] + ".1042.17.12",
		"session too long":   someName + "A.1042.17.12",
		"padded":             someName + "==.1042.17.12",
		"other alphabet":     strings.Replace(someName, "_", "/", 1) + ".1042.17.12",
		"loose bits":         someName[:21] + "R.1042.17.12",
		"sign":               someName + ".+1042.17.12",
		"zero before":        someName + ".01042.17.12",
		"empty number":       someName + "..17.12",
		"no number":          someName + ".x.17.12",
		"above 64 bits":      someName + ".18446744073709551616.17.12",
		"space":              someName + ".1042.17. 12",
		"newline in session": someName[:10] + "\n" + someName[11:] + ".1042.17.12",
	} {
		t.Run(name, func(t *testing.T) {
			id, err := ParseHeader(text)
			require.Equal(t, problem.BadRequest, problem.CodeOf(err))
			require.ErrorContains(t, err, "SESSION.BIRTH.SERIAL.LOWEST")
			require.True(t, id.IsZero())
		})
	}
}

func TestParseKey(t *testing.T) {
	for _, text := range []string{"k", "8e03978e-40d5-43dd-bc93-6894a57f9324", `"quoted one"`, strings.Repeat("~", MaxKey), "us1", "us2.x"} {
		id, err := ParseKey(text)
		require.NoError(t, err, text)
		require.Equal(t, ID{Key: text}, id)
		require.Equal(t, text, id.AsKey())
	}
	for text, sentence := range map[string]string{
		"":                                  "has 0 bytes: it has 1 to 64",
		strings.Repeat("k", MaxKey+1):       "has 65 bytes",
		"é":                                 `is "\u00e9": it is printable ASCII`,
		"a\tb":                              "printable ASCII",
		" a":                                "begins nor ends with a space",
		"us1.":                              "a key that an answer named",
		"us1.mine":                          "a key that an answer named",
		"us1." + someName + ".1042.17.":     "a key that an answer named",
		"us1." + strings.Repeat("A", 1<<20): "…",
	} {
		_, err := ParseKey(text)
		require.Equal(t, problem.BadRequest, problem.CodeOf(err), "%.80s", text)
		require.ErrorContains(t, err, sentence)
		require.Less(t, len(err.Error()), 400)
	}
	require.Error(t, CheckKey("us1.mine"))
}

func TestOf(t *testing.T) {
	header, key := someID.Header(), someID.AsKey()
	for name, tc := range map[string]struct {
		named, keyed []string
		want         ID
		sentence     string
	}{
		"none":         {},
		"first hop":    {named: []string{header}, want: someID},
		"caller":       {keyed: []string{"mine"}, want: ID{Key: "mine"}},
		"asked again":  {keyed: []string{key}, want: ID{Session: someID.Session, Birth: 1042, Serial: 17}},
		"both, same":   {named: []string{header}, keyed: []string{key}, want: someID},
		"two ids":      {named: []string{header}, keyed: []string{"mine"}, sentence: "the request has two ids"},
		"other serial": {named: []string{header}, keyed: []string{strings.Replace(key, ".17", ".18", 1)}, sentence: "two ids"},
		"bad header":   {named: []string{"x"}, sentence: "SESSION.BIRTH"},
		"bad key":      {keyed: []string{""}, sentence: "0 bytes"},
		"both, bad":    {named: []string{"x"}, keyed: []string{"mine"}, sentence: "SESSION.BIRTH"},
		"twice":        {keyed: []string{"a", "a"}, sentence: "at most once"},
		"named twice":  {named: []string{header, header}, sentence: "at most once"},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			for _, v := range tc.named {
				h.Add(wire.HeaderRequest, v)
			}
			for _, v := range tc.keyed {
				h.Add(wire.HeaderKey, v)
			}
			got, err := Of(h)
			require.Equal(t, tc.want, got)
			if tc.sentence == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, problem.BadRequest, problem.CodeOf(err))
			require.ErrorContains(t, err, tc.sentence)
		})
	}
}

// What is parsed has one text only, so that two texts are never one id.
func FuzzParse(f *testing.F) {
	f.Add(someID.Header())
	f.Add(someID.AsKey())
	f.Add("us1.")
	f.Add("mine")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := ParseHeader(text); err == nil {
			require.True(t, id.OfSession())
			require.Equal(t, text, id.Header())
		}
		if id, err := ParseKey(text); err == nil {
			require.False(t, id.IsZero())
			require.Equal(t, text, id.AsKey())
		}
	})
}
