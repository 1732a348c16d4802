// Package pairs reads files of key=value lines, and refuses a file as a whole
// with the number of the first line that is wrong.
package pairs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// The limits of a file and of what it holds, in bytes. The cluster has the same.
const (
	MaxFile  = 8 << 20
	MaxKey   = 1024
	MaxValue = 1 << 20
)

// LineError says which line of a file is wrong, and why.
type LineError struct {
	Line int // from 1
	Why  string
}

// Error implements error.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Why) }

var (
	errTooLarge = errors.New("the file is larger than 8 MiB: split it")
	errNothing  = errors.New("the file holds no key=value line: there is nothing to update")
)

// ReadFile reads the named file; "-" is stdin. A file that is too large is
// refused before it is read.
func ReadFile(name string, stdin io.Reader) (map[string]string, error) {
	if name == "-" {
		return named("standard input", stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err // names the file and says why
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory: name a file of key=value lines", name)
	case info.Size() > MaxFile:
		return nil, fmt.Errorf("%s: %w", name, errTooLarge)
	}
	return named(name, f)
}

func named(name string, r io.Reader) (map[string]string, error) {
	m, err := Parse(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// Parse reads key=value lines: each is split at its first "=", and everything
// after it is the value. Blank lines and lines that begin with # pass. Lines
// may end in CRLF, and the file may begin with a byte order mark. The error of
// a wrong line is a [LineError]. It reads at most [MaxFile] bytes and one more.
func Parse(r io.Reader) (map[string]string, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxFile {
		return nil, errTooLarge
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	p := parser{values: map[string]string{}, lines: map[string]int{}}
	for line := range strings.Lines(string(data)) {
		if err := p.line(line); err != nil {
			return nil, err
		}
	}
	if len(p.values) == 0 {
		return nil, errNothing
	}
	return p.values, nil
}

type parser struct {
	number int // of the line that was read last
	values map[string]string
	lines  map[string]int // the line each key stands on
}

func (p *parser) line(line string) error {
	p.number++
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if start := strings.TrimSpace(line); start == "" || start[0] == '#' {
		return nil
	}
	key, value, err := Split(line)
	if err != nil {
		return &LineError{p.number, err.Error()}
	}
	if key != strings.TrimSpace(key) {
		return &LineError{p.number, fmt.Sprintf("the key %q begins or ends with white space: write it right before the \"=\"", key)}
	}
	if first, dup := p.lines[key]; dup {
		return &LineError{p.number, fmt.Sprintf("the key %q stands on line %d already: keep one of the two", key, first)}
	}
	p.values[key], p.lines[key] = value, p.number
	return nil
}

// Split parts key=value at the first "=" and checks both sides.
func Split(pair string) (key, value string, err error) {
	if !utf8.ValidString(pair) {
		return "", "", errors.New("it is not UTF-8 text: save the file as UTF-8")
	}
	key, value, ok := strings.Cut(pair, "=")
	if !ok {
		return "", "", fmt.Errorf("%q has no \"=\": write key=value", shorten(pair))
	}
	if err := CheckKey(key); err != nil {
		return "", "", err
	}
	if len(value) > MaxValue {
		return "", "", fmt.Errorf("the value of %q has %d bytes: at most %d (1 MiB) are possible", key, len(value), MaxValue)
	}
	return key, value, nil
}

// CheckKey refuses what cannot be a key: it has 1 to 1,024 bytes of UTF-8.
func CheckKey(key string) error {
	switch {
	case key == "":
		return errors.New("the key is empty: it needs at least one character")
	case !utf8.ValidString(key):
		return fmt.Errorf("the key %q is not UTF-8 text", shorten(key))
	case len(key) > MaxKey:
		return fmt.Errorf("the key %q has %d bytes: at most %d are possible", shorten(key), len(key), MaxKey)
	}
	return nil
}

// shorten keeps a quoted text to a length that fits on a line.
func shorten(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
