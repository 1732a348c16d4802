package store

import (
	"encoding/base64"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxKeptJSON bounds, in bytes of the map, the JSON that a view keeps for later
// readers. A larger map is written piece by piece.
const maxKeptJSON = 1 << 20

// AppendJSON appends the whole map to dst as a JSON object with sorted keys. A
// value that is not UTF-8 is written {"base64": "…"}.
func (v *View) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	comma := false
	v.tree.Scan(func(key string, e *Entry) bool {
		if comma {
			dst = append(dst, ',')
		}
		comma = true
		dst = appendMember(dst, key, e.Value)
		return true
	})
	return append(dst, '}')
}

// JSON returns the whole map as AppendJSON writes it, made once for all readers
// of the view, who must not change it. It is nil if the map is large (1 MiB):
// WriteJSON then writes it without holding all of it in memory.
func (v *View) JSON() []byte {
	if v.bytes > maxKeptJSON {
		return nil
	}
	v.once.Do(func() { v.text = v.AppendJSON(nil) })
	return v.text
}

// WriteJSON writes the whole map as AppendJSON does, in pieces.
func (v *View) WriteJSON(w io.Writer) error {
	const piece = 64 << 10
	buf := make([]byte, 0, 2*piece)
	buf = append(buf, '{')
	comma := false
	var err error
	v.tree.Scan(func(key string, e *Entry) bool {
		if comma {
			buf = append(buf, ',')
		}
		comma = true
		if buf = appendMember(buf, key, e.Value); len(buf) >= piece {
			_, err = w.Write(buf)
			buf = buf[:0]
		}
		return err == nil
	})
	if err == nil {
		_, err = w.Write(append(buf, '}'))
	}
	if err != nil {
		return fmt.Errorf("write the map as JSON: %w", err)
	}
	return nil
}

func appendMember(dst []byte, key, value string) []byte {
	dst = appendString(dst, key)
	dst = append(dst, ':')
	if utf8.ValidString(value) {
		return appendString(dst, value)
	}
	dst = append(dst, `{"base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, []byte(value))
	return append(dst, `"}`...)
}

// appendString appends valid UTF-8 as a JSON string.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	begin := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[begin:i]...)
		begin = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	dst = append(dst, s[begin:]...)
	return append(dst, '"')
}
