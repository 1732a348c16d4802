package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"understudy.example/pkg/protocol"
)

// DecodeMap reads a state that EncodeTo wrote, to its end. Whatever it is
// given, it reserves at most a few MiB beyond a small multiple of what it has
// read.
func DecodeMap(r io.Reader) (*Map, error) {
	d := decoder{in: bufio.NewReaderSize(r, 64<<10)}
	m := NewMap()
	d.header(m)
	count := d.uvarint(1 << 40)
	for i := uint64(0); i < count && d.err == nil; i++ {
		d.entry(m)
	}
	d.ids(m)
	if d.err == nil {
		if _, err := d.in.ReadByte(); err == nil {
			d.fail(errors.New("bytes follow its end"))
		} else if !errors.Is(err, io.EOF) {
			d.fail(err)
		}
	}
	if d.err != nil {
		return nil, fmt.Errorf("decode the state: %w", d.err)
	}
	return m, nil
}

// decoder reads the parts of a state. After the first error it reads nothing
// more.
type decoder struct {
	in   *bufio.Reader
	err  error
	last string // key of the entry before
	buf  []byte
}

func (d *decoder) fail(err error) {
	if d.err != nil {
		return
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	d.err = err
}

func (d *decoder) header(m *Map) {
	format, err := d.in.ReadByte()
	if err != nil {
		d.fail(err)
		return
	}
	if format != stateFormat {
		d.fail(fmt.Errorf("it has format %d, and this release reads format %d", format, stateFormat))
		return
	}
	m.position = d.position()
	if d.err != nil {
		return
	}
	m.time = d.varint()
	text := d.bytes(d.uvarint(maxProfile))
	if d.err != nil || len(text) == 0 {
		return
	}
	if m.profile, err = ParseProfile(text); err != nil {
		d.fail(err)
	}
}

// entry reads one entry and checks that its key is above the one before.
func (d *decoder) entry(m *Map) {
	pos := d.position()
	keySize := d.uvarint(MaxKey)
	text := string(d.bytes(keySize + d.uvarint(MaxValue)))
	if d.err != nil {
		return
	}
	key, value := text[:keySize], text[keySize:]
	if err := CheckKey(key); err != nil {
		d.fail(err)
		return
	}
	if key <= d.last {
		d.fail(fmt.Errorf("key %s comes after key %s", quote(key), quote(d.last)))
		return
	}
	d.last = key
	m.tree.Load(key, &Entry{Value: value, Position: pos})
	m.bytes += entrySize(len(key), len(value))
}

func (d *decoder) position() protocol.Position {
	return protocol.Position{Epoch: protocol.Epoch(d.number()), Seq: protocol.Seq(d.number())}
}

func (d *decoder) number() uint64 {
	if d.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(d.in)
	if err != nil {
		d.fail(err)
		return 0
	}
	return n
}

// uvarint reads a length of at most limit.
func (d *decoder) uvarint(limit uint64) uint64 {
	n := d.number()
	if n > limit {
		d.fail(fmt.Errorf("a length of %d is above the limit of %d", n, limit))
		return 0
	}
	return n
}

// bytes reads n bytes, which are good until the next call.
func (d *decoder) bytes(n uint64) []byte {
	if d.err != nil {
		return nil
	}
	if uint64(cap(d.buf)) < n {
		d.buf = make([]byte, n)
	}
	d.buf = d.buf[:n]
	if _, err := io.ReadFull(d.in, d.buf); err != nil {
		d.fail(err)
		return nil
	}
	return d.buf
}
