package store

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// str reads the string that begins at the cursor.
func (p *objectParser) str() (string, error) {
	begin := p.at + 1
	n := bytes.IndexByte(p.text[begin:], '"')
	if n < 0 {
		return "", badObject("the string at byte %d has no closing quote", p.at)
	}
	plain := p.text[begin : begin+n]
	if bytes.IndexByte(plain, '\\') < 0 {
		for i, c := range plain {
			if c < ' ' {
				return "", badObject("a control character stands in the string at byte %d: write it as \\u%04x", begin+i, c)
			}
		}
		p.at = begin + n + 1
		return string(plain), nil
	}
	return p.escapedStr()
}

// escapedStr reads a string with escapes.
func (p *objectParser) escapedStr() (string, error) {
	begin := p.at
	p.at++
	var out []byte
	for p.at < len(p.text) {
		c := p.text[p.at]
		switch {
		case c == '"':
			p.at++
			return string(out), nil
		case c < ' ':
			return "", badObject("a control character stands in the string at byte %d: write it as \\u%04x", p.at, c)
		case c == '\\':
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
			p.at++
		}
	}
	return "", badObject("the string at byte %d has no closing quote", begin)
}

// escapes are the characters of the two-character escapes.
var escapes = map[byte]rune{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// escape reads one escape, of which a surrogate pair has two.
func (p *objectParser) escape() (rune, error) {
	begin := p.at
	if p.at+1 < len(p.text) {
		if r, ok := escapes[p.text[p.at+1]]; ok {
			p.at += 2
			return r, nil
		}
	}
	r, ok := p.unicodeEscape()
	if !ok {
		return 0, badObject("the escape at byte %d is none that JSON knows", begin)
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	low, ok := p.unicodeEscape()
	if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
		return pair, nil
	}
	return 0, badObject("the escape at byte %d is half of a surrogate pair", begin)
}

// unicodeEscape reads \uXXXX.
func (p *objectParser) unicodeEscape() (rune, bool) {
	const size = len(`\uXXXX`)
	if p.at+size > len(p.text) || p.text[p.at] != '\\' || p.text[p.at+1] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(p.text[p.at+2:p.at+size]), 16, 16)
	if err != nil {
		return 0, false
	}
	p.at += size
	return rune(v), true
}
