package store

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"understudy.example/pkg/problem"
)

// ParseObject reads a JSON object whose values are strings and nulls, the form
// of a merge patch of the map. It is stricter than encoding/json where that
// would lose something silently: a key given twice, text that is not UTF-8 and
// half a surrogate pair are refused. Every error is a bad_request that names
// the key, or the byte, and what would be right.
func ParseObject(text []byte) (map[string]*string, error) {
	if err := checkUTF8(text); err != nil {
		return nil, err
	}
	p := objectParser{text: text}
	p.space()
	if !p.take('{') {
		return nil, badObject("it is %s: a JSON object is wanted, for example {\"name\": \"Ada\"}", p.found())
	}
	out := map[string]*string{}
	p.space()
	for first := true; !p.take('}'); first = false {
		if !first && !p.take(',') {
			return nil, p.wanted("a comma or the closing brace")
		}
		if err := p.member(out); err != nil {
			return nil, err
		}
	}
	if p.space(); p.at < len(text) {
		return nil, badObject("%s follows the JSON object at byte %d: send one object and nothing else", p.found(), p.at)
	}
	return out, nil
}

func checkUTF8(text []byte) error {
	if utf8.Valid(text) {
		return nil
	}
	at := 0
	for {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			return badObject("byte %d is not UTF-8", at)
		}
		at += size
	}
}

func badObject(format string, args ...any) error {
	return problem.Errorf(problem.BadRequest, "the JSON is not valid: %s", fmt.Sprintf(format, args...))
}

// objectParser is a cursor over the text of an object.
type objectParser struct {
	text []byte
	at   int
}

// member reads one key and its value, with the space around them.
func (p *objectParser) member(out map[string]*string) error {
	p.space()
	if p.peek() != '"' {
		return p.wanted("a key in double quotes")
	}
	key, err := p.str()
	if err != nil {
		return err
	}
	if _, twice := out[key]; twice {
		return badObject("key %s is given twice", quote(key))
	}
	if p.space(); !p.take(':') {
		return p.wanted("a colon after key " + quote(key))
	}
	p.space()
	if out[key], err = p.value(key); err != nil {
		return err
	}
	p.space()
	return nil
}

// value reads a string, or a null as nil.
func (p *objectParser) value(key string) (*string, error) {
	if p.peek() == '"' {
		s, err := p.str()
		return &s, err
	}
	if p.word("null") {
		p.at += len("null")
		return nil, nil
	}
	if what := p.found(); what != "the end" {
		return nil, badObject("the value of key %s is %s: a value is a string in double quotes, or null to delete the key", quote(key), what)
	}
	return nil, p.wanted("a value for key " + quote(key))
}

// word tells whether w stands here as a word of its own.
func (p *objectParser) word(w string) bool {
	rest, ok := bytes.CutPrefix(p.text[p.at:], []byte(w))
	return ok && (len(rest) == 0 || rest[0] < 'a' || rest[0] > 'z')
}

func (p *objectParser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// peek returns the next byte, zero at the end.
func (p *objectParser) peek() byte {
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *objectParser) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.at++
	return true
}

func (p *objectParser) wanted(what string) error {
	return badObject("%s stands at byte %d: %s is wanted there", p.found(), p.at, what)
}

// found says in words what stands at the cursor.
func (p *objectParser) found() string {
	if p.at == len(p.text) {
		return "the end"
	}
	switch c := p.text[p.at]; {
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '"':
		return "a string"
	case c == '-' || c >= '0' && c <= '9':
		return "a number"
	case p.word("true") || p.word("false"):
		return "a boolean"
	case p.word("null"):
		return "a null"
	}
	r, _ := utf8.DecodeRune(p.text[p.at:])
	return fmt.Sprintf("%q", r)
}
