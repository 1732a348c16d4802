package store

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProfileRoundTrip(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: `{"initial":{},"read_only":[],"other_keys":"allow"}`,
		` {"other_keys": "refuse", "read_only": ["b", "a", "b"], "initial": {"z": "1", "a": ""}} `: `{"initial":{"a":"","z":"1"},"read_only":["a","b"],"other_keys":"refuse"}`,
	} {
		p, err := ParseProfile([]byte(text))
		require.NoError(t, err)
		got, err := json.Marshal(p)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		again, err := ParseProfile(got)
		require.NoError(t, err)
		require.Equal(t, p, again)
	}
}

func TestProfileErrorsSayWhatWouldBeRight(t *testing.T) {
	for text, sentence := range map[string]string{
		``:                                     "it is no JSON",
		`{`:                                    "it is no JSON",
		`null`:                                 "it is null: a profile is an object with initial, read_only and other_keys",
		`[]`:                                   "it is a JSON array: a profile is an object with initial, read_only and other_keys",
		`{} {}`:                                "something follows the JSON object",
		`{"readonly": []}`:                     `it has a field "readonly": the fields are initial, read_only and other_keys`,
		`{"read_only": "id"}`:                  "read_only holds a JSON string: read_only is a list of keys",
		`{"read_only": [1]}`:                   "holds a JSON number: read_only is a list of keys",
		`{"read_only": [""]}`:                  "read_only: the key is empty",
		`{"other_keys": "maybe"}`:              `other_keys is "maybe": "allow" or "refuse"`,
		`{"other_keys": true}`:                 `other_keys holds a JSON bool`,
		`{"initial": {"age": 41}}`:             `initial: the JSON is not valid: the value of key "age" is a number`,
		`{"initial": {"age": null}}`:           `initial: key "age" is null: an initial value is a string`,
		`{"initial": {"": "x"}}`:               "initial: the key is empty",
		`{"initial": {"a": "1", "a": "2"}}`:    `key "a" is given twice`,
		`{"initial": []}`:                      "initial: the JSON is not valid: it is an array",
		`{"initial": {"a": "` + "\xff" + `"}}`: "byte 19 is not UTF-8",
		`{"initial": {"a": "` + strings.Repeat("v", MaxValue+1) + `"}}`: "has 1048577 bytes: a value has at most 1048576",
	} {
		_, err := ParseProfile([]byte(text))
		require.ErrorContains(t, err, sentence, "%.60s", text)
		require.ErrorContains(t, err, "the profile is not valid: ")
	}
}

func FuzzParseProfile(f *testing.F) {
	f.Add([]byte(`{"initial": {"a": "1"}, "read_only": ["a"], "other_keys": "refuse"}`))
	f.Add([]byte(`{"initial": null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseProfile(text)
		if err != nil {
			return
		}
		got, err := json.Marshal(p)
		require.NoError(t, err)
		again, err := ParseProfile(got)
		require.NoError(t, err)
		require.Equal(t, p, again)
	})
}
