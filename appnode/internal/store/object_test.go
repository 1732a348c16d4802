package store

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
)

func TestParseObject(t *testing.T) {
	for text, want := range map[string]map[string]*string{
		`{}`:                             {},
		" \r\n\t{ } ":                    {},
		`{"a":"1"}`:                      {"a": new("1")},
		` { "a" : "1" , "b" : null } `:   {"a": new("1"), "b": nil},
		`{"":""}`:                        {"": new("")},
		`{"é\u00e9":"\"\\\/\b\f\n\r\t"}`: {"éé": new("\"\\/\b\f\n\r\t")},
		`{"\ud83d\ude00":"x\uD83D\uDE00y\u0000"}`: {"😀": new("x😀y\x00")},
		`{"a":"\\","b":"\""}`:                     {"a": new(`\`), "b": new(`"`)},
	} {
		got, err := ParseObject([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestParseObjectErrorsSayWhatWouldBeRight(t *testing.T) {
	for text, sentence := range map[string]string{
		``:                         `it is the end: a JSON object is wanted, for example {"name": "Ada"}`,
		`[]`:                       "it is an array: a JSON object is wanted",
		`"a"`:                      "it is a string: a JSON object is wanted",
		`12`:                       "it is a number: a JSON object is wanted",
		`null`:                     "it is a null: a JSON object is wanted",
		`hello`:                    `it is 'h': a JSON object is wanted`,
		`{"age": 41}`:              `the value of key "age" is a number: a value is a string in double quotes, or null to delete the key`,
		`{"age": -1}`:              `the value of key "age" is a number`,
		`{"ok": true}`:             `the value of key "ok" is a boolean`,
		`{"ok": false}`:            `the value of key "ok" is a boolean`,
		`{"a": []}`:                `the value of key "a" is an array`,
		`{"a": {"b": "c"}}`:        `the value of key "a" is an object`,
		`{"a": nulls}`:             `the value of key "a" is 'n'`,
		`{"a": }`:                  `the value of key "a" is '}'`,
		`{"a":`:                    `the end stands at byte 5: a value for key "a" is wanted there`,
		`{"a"`:                     `the end stands at byte 4: a colon after key "a" is wanted there`,
		`{"a" "b"}`:                `a string stands at byte 5: a colon after key "a" is wanted there`,
		`{"a":"b"`:                 "the end stands at byte 8: a comma or the closing brace is wanted there",
		`{"a":"b" "c":"d"}`:        "a string stands at byte 9: a comma or the closing brace",
		`{"a":"b",}`:               "'}' stands at byte 9: a key in double quotes is wanted there",
		`{,}`:                      "',' stands at byte 1: a key in double quotes",
		`{a:"b"}`:                  "'a' stands at byte 1: a key in double quotes",
		`{true:"b"}`:               "a boolean stands at byte 1: a key in double quotes",
		`{"a":"b"} {}`:             "an object follows the JSON object at byte 10: send one object and nothing else",
		`{"a":"b"}x`:               "'x' follows the JSON object at byte 9",
		`{"a":"1","a":"2"}`:        `key "a" is given twice`,
		`{"a":"1","\u0061":null}`:  `key "a" is given twice`,
		`{"a":"b`:                  "the string at byte 5 has no closing quote",
		`{"a":"b\"`:                "the string at byte 5 has no closing quote",
		`{"a":"b\`:                 "the string at byte 5 has no closing quote",
		`{"a":"\x"}`:               "the escape at byte 6 is none that JSON knows",
		`{"a":"\u12"}`:             "the escape at byte 6 is none that JSON knows",
		`{"a":"\u+123"}`:           "the escape at byte 6 is none that JSON knows",
		`{"a":"\ud83d"}`:           "the escape at byte 6 is half of a surrogate pair",
		`{"a":"\ude00\ud83d"}`:     "the escape at byte 6 is half of a surrogate pair",
		"{\"a\":\"b\nc\"}":         `a control character stands in the string at byte 7: write it as \u000a`,
		"{\"a\":\"\\n\x1f\"}":      `a control character stands in the string at byte 8: write it as \u001f`,
		"{\"a\":\"b\xffc\"}":       "byte 7 is not UTF-8",
		"{\"\xe2\x82\":\"b\xff\"}": "byte 2 is not UTF-8",
		"{\"a\":\"\ufffd\xff\"}":   "byte 9 is not UTF-8",
	} {
		got, err := ParseObject([]byte(text))
		require.ErrorContains(t, err, "the JSON is not valid: "+sentence, text)
		require.Equal(t, problem.BadRequest, problem.CodeOf(err), text)
		require.Nil(t, got)
	}
}

// FuzzParseObject compares with encoding/json: what one accepts the other does
// too, with the same result, apart from what ParseObject is there to refuse.
func FuzzParseObject(f *testing.F) {
	f.Add([]byte(`{"a":"1","b":null}`))
	f.Add([]byte(`{"\ud83d\ude00":"\"\\\/\b\f\n\r\t\u00e9"}`))
	f.Add([]byte(`{"a":"1","a":"2"}`))
	f.Add([]byte(`{"a":"\ud83d"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ParseObject(text)
		var want map[string]*string
		errWant := json.Unmarshal(text, &want)
		if err == nil {
			require.NoError(t, errWant)
			require.Equal(t, want, got)
			for key, value := range got {
				require.True(t, utf8.ValidString(key))
				require.True(t, value == nil || utf8.ValidString(*value))
			}
			return
		}
		lossy := !utf8.Valid(text) || strings.Contains(err.Error(), "given twice") ||
			strings.Contains(err.Error(), "surrogate") || string(bytes.TrimSpace(text)) == "null"
		if !lossy {
			require.Error(t, errWant, "refused with %q", err)
		}
	})
}
