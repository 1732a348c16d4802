package pairs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	tests := map[string]struct {
		file string
		want map[string]string
	}{
		"one line":             {"name=Ada", map[string]string{"name": "Ada"}},
		"comments and blanks":  {"# a person\n\n \t\nname=Ada\n  # more\nid=1\n", map[string]string{"name": "Ada", "id": "1"}},
		"the first = splits":   {"formula=a=b=c\n", map[string]string{"formula": "a=b=c"}},
		"an empty value":       {"name=\n", map[string]string{"name": ""}},
		"values keep spaces":   {"name= Ada  \n", map[string]string{"name": " Ada  "}},
		"a # within a value":   {"color=#fff\n", map[string]string{"color": "#fff"}},
		"a key with spaces":    {"first name=Ada\n", map[string]string{"first name": "Ada"}},
		"carriage returns":     {"name=Ada\r\nid=1\r\n\r\n", map[string]string{"name": "Ada", "id": "1"}},
		"a byte order mark":    {"\ufeffname=Ada\n", map[string]string{"name": "Ada"}},
		"no newline at end":    {"a=1\nb=2", map[string]string{"a": "1", "b": "2"}},
		"other scripts":        {"имя=Ада\n", map[string]string{"имя": "Ада"}},
		"the longest key":      {strings.Repeat("k", MaxKey) + "=v", map[string]string{strings.Repeat("k", MaxKey): "v"}},
		"the longest value":    {"k=" + strings.Repeat("v", MaxValue), map[string]string{"k": strings.Repeat("v", MaxValue)}},
		"a carriage return in": {"k=a\rb\n", map[string]string{"k": "a\rb"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(strings.NewReader(tt.file))
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestParseRefusesLines(t *testing.T) {
	tests := map[string]struct {
		file string
		line int
		why  string
	}{
		"no =":            {"name=Ada\n\n# c\nsurname Lovelace\n", 4, `"surname Lovelace" has no "=": write key=value`},
		"an empty key":    {"=Ada", 1, `the key is empty`},
		"a spaced key":    {"a=1\nname = Ada\n", 2, `the key "name " begins or ends with white space`},
		"an indented key": {"  name=Ada\n", 1, `the key "  name" begins or ends with white space`},
		"a duplicate":     {"a=1\nb=2\na=3\n", 3, `the key "a" stands on line 1 already`},
		"a bad key":       {"a=1\n\xff=1\n", 2, "it is not UTF-8 text"},
		"a bad value":     {"a=\xff\n", 1, "it is not UTF-8 text"},
		"a long key":      {strings.Repeat("k", MaxKey+1) + "=v", 1, "has 1025 bytes: at most 1024 are possible"},
		"a long value":    {"a=1\nk=" + strings.Repeat("v", MaxValue+1), 2, `the value of "k" has 1048577 bytes: at most 1048576 (1 MiB) are possible`},
		"a long bad line": {strings.Repeat("é", 100), 1, `"` + strings.Repeat("é", 20) + `…" has no "="`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(strings.NewReader(tt.file))
			wrong, ok := errors.AsType[*LineError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, tt.line, wrong.Line)
			require.Contains(t, wrong.Why, tt.why)
		})
	}
}

func TestParseRefusesFiles(t *testing.T) {
	for _, empty := range []string{"", "\n\n", "# nothing\n", "\ufeff"} {
		_, err := Parse(strings.NewReader(empty))
		require.ErrorIs(t, err, errNothing)
	}
	_, err := Parse(io.MultiReader(strings.NewReader("a=1\n"), endless{}))
	require.ErrorIs(t, err, errTooLarge)
	_, err = Parse(failing{})
	require.EqualError(t, err, "broken pipe")
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	require.NoError(t, os.WriteFile(good, []byte("name=Ada\n"), 0o600))
	m, err := ReadFile(good, nil)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"name": "Ada"}, m)

	m, err = ReadFile("-", strings.NewReader("id=1"))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"id": "1"}, m)

	_, err = ReadFile("-", strings.NewReader("id"))
	require.EqualError(t, err, `standard input: line 1: "id" has no "=": write key=value`)
	_, err = ReadFile(filepath.Join(dir, "missing"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = ReadFile(dir, nil)
	require.ErrorContains(t, err, "is a directory: name a file of key=value lines")
}

func TestReadFileDoesNotReadALargeFile(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large")
	require.NoError(t, os.WriteFile(large, nil, 0o600))
	require.NoError(t, os.Truncate(large, MaxFile+1)) // sparse
	_, err := ReadFile(large, nil)
	require.ErrorIs(t, err, errTooLarge)
	require.ErrorContains(t, err, large)
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"name=Ada\nid=1\n", "# c\r\n\ufeffa==\n", "\ufeffa=1\nb", "=\n", "a=1\na=1", "\xff=\xfe"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file string) {
		m, err := Parse(strings.NewReader(file))
		if err != nil {
			require.Nil(t, m)
			return
		}
		require.NotEmpty(t, m)
		for k, v := range m {
			require.NoError(t, CheckKey(k))
			require.True(t, utf8.ValidString(v))
			require.Contains(t, file, k+"="+v)
		}
	})
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken pipe") }
