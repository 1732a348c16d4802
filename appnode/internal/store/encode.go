package store

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"understudy.example/pkg/protocol"
)

// stateFormat is the first byte of an encoded state.
const stateFormat = 2

// maxProfile bounds the JSON of a profile, in bytes.
const maxProfile = MaxRequest

// EncodeTo writes the state in the form that DecodeMap reads: format, position,
// group time, profile, count, the entries in the order of their keys, then which
// requests were answered. It carries no checksum: the snapshot file that holds
// it does.
func (v *View) EncodeTo(w io.Writer) error {
	var profile []byte
	if v.profile != nil {
		var err error
		if profile, err = json.Marshal(v.profile); err != nil {
			return fmt.Errorf("encode the profile: %w", err)
		}
	}
	out := bufio.NewWriterSize(w, 64<<10)
	buf := appendPosition([]byte{stateFormat}, v.position)
	buf = binary.AppendVarint(buf, v.time)
	buf = binary.AppendUvarint(buf, uint64(len(profile)))
	buf = append(buf, profile...)
	buf = binary.AppendUvarint(buf, uint64(v.Len()))
	_, err := out.Write(buf)
	v.tree.Scan(func(key string, e *Entry) bool {
		if err != nil {
			return false
		}
		buf = appendPosition(buf[:0], e.Position)
		buf = binary.AppendUvarint(buf, uint64(len(key)))
		buf = binary.AppendUvarint(buf, uint64(len(e.Value)))
		buf = append(buf, key...)
		if _, err = out.Write(buf); err == nil {
			_, err = out.WriteString(e.Value)
		}
		return true
	})
	if err == nil {
		err = v.ids.encode(buf, func(b []byte) error {
			_, err := out.Write(b)
			return err
		})
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	return nil
}

func appendPosition(dst []byte, p protocol.Position) []byte {
	dst = binary.AppendUvarint(dst, uint64(p.Epoch))
	return binary.AppendUvarint(dst, uint64(p.Seq))
}
