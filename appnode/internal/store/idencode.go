package store

import (
	"encoding/binary"
	"fmt"

	"github.com/tidwall/btree"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/requestid"
)

// pieceWriter writes what a buffer holds and empties it.
type pieceWriter func([]byte) error

// encode writes the table: horizon, count of sessions, the sessions by name,
// each with its answers by serial, count of keys, the keys by age.
func (t *idTable) encode(buf []byte, write pieceWriter) error {
	buf = binary.AppendUvarint(buf[:0], uint64(t.horizon))
	buf = binary.AppendUvarint(buf, uint64(t.sessionCount()))
	err := write(buf)
	if t.sessions != nil {
		t.sessions.Scan(func(name string, s *session) bool {
			if err == nil {
				err = s.encode(name, buf, write)
			}
			return err == nil
		})
	}
	if err != nil {
		return err
	}
	if err = write(binary.AppendUvarint(buf[:0], uint64(t.keys.len()))); err != nil || t.keys.bySeq == nil {
		return err
	}
	t.keys.bySeq.Scan(func(_ uint64, k *keyed) bool {
		buf = append(append(buf[:0], byte(len(k.key))), k.key...)
		buf = binary.AppendVarint(buf, k.time)
		err = write(appendAnswer(buf, k.answer))
		return err == nil
	})
	return err
}

func (s *session) encode(name string, buf []byte, write pieceWriter) error {
	buf = append(buf[:0], name...)
	buf = binary.AppendUvarint(buf, uint64(s.birth))
	buf = binary.AppendUvarint(buf, s.lowest)
	buf = binary.AppendVarint(buf, s.used)
	buf = binary.AppendUvarint(buf, uint64(s.count))
	for _, r := range s.runs {
		for i := range r.answers {
			a := &r.answers[i]
			buf = binary.AppendUvarint(buf, a.serial)
			buf = appendAnswer(buf, a.answer())
		}
		if err := write(buf); err != nil {
			return err
		}
		buf = buf[:0]
	}
	return write(buf)
}

func appendAnswer(dst []byte, a Answer) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, a.Hash)
	dst = binary.AppendUvarint(dst, uint64(a.Status))
	return appendPosition(dst, a.Position)
}

// ids reads what encode wrote.
func (d *decoder) ids(m *Map) {
	t := &m.ids
	t.horizon = protocol.Seq(d.number())
	count := d.uvarint(1 << 40)
	if count > 0 {
		t.sessions = btree.NewMap[string, *session](degree)
	}
	last := string(make([]byte, len(requestid.Session{})))
	for i := uint64(0); i < count && d.err == nil; i++ {
		last = d.session(m, last)
	}
	count = d.uvarint(1 << 40)
	for i := uint64(0); i < count && d.err == nil; i++ {
		d.key(m)
	}
}

// session reads one session, whose name comes after last, and returns its name.
func (d *decoder) session(m *Map, last string) string {
	name := string(d.bytes(uint64(len(requestid.Session{}))))
	birth, lowest, used := d.number(), d.number(), d.varint()
	s := &session{owner: m.ids.owner, birth: protocol.Seq(birth), lowest: lowest, used: used}
	count := d.uvarint(1 << 40)
	if d.err == nil && name <= last {
		d.fail(fmt.Errorf("session %x comes after session %x", name, last))
	}
	before := uint64(0)
	for i := uint64(0); i < count && d.err == nil; i++ {
		serial := d.number()
		a := d.answer(m)
		if d.err != nil {
			break
		}
		if serial <= before || serial < s.lowest {
			d.fail(fmt.Errorf("answer %d of session %x comes after %d, with %d as the lowest", serial, name, before, s.lowest))
			break
		}
		s.add(serialAnswer{serial, a.Hash, a.Position, uint16(a.Status)})
		before = serial
	}
	if d.err == nil {
		m.ids.sessions.Load(name, s)
	}
	return name
}

// key reads one answer to a caller's own key, younger than those before.
func (d *decoder) key(m *Map) {
	size, err := d.in.ReadByte()
	if err != nil {
		d.fail(err)
	}
	k := &keyed{key: string(d.bytes(uint64(size)))}
	k.time, k.answer = d.varint(), d.answer(m)
	if d.err != nil {
		return
	}
	t := &m.ids.keys
	if err := requestid.CheckKey(k.key); err != nil {
		d.fail(err)
		return
	}
	if last := t.newest(); last != nil && (last.answer.Position.Seq >= k.answer.Position.Seq || last.time > k.time) || t.get(k.key) != nil {
		d.fail(fmt.Errorf("the key of record %s is not younger than the one before, or comes twice", k.answer.Position))
		return
	}
	t.add(k)
}

func (d *decoder) answer(m *Map) Answer {
	var a Answer
	if b := d.bytes(8); b != nil {
		a.Hash = binary.LittleEndian.Uint64(b)
	}
	a.Status = int(d.uvarint(999))
	a.Position = d.position()
	if d.err == nil && (!statuses[a.Status] || a.Position.Seq > m.position.Seq) {
		d.fail(fmt.Errorf("no answer has the status %d and the position %s in a state at %s", a.Status, a.Position, m.position))
	}
	return a
}

func (d *decoder) varint() int64 {
	if d.err != nil {
		return 0
	}
	n, err := binary.ReadVarint(d.in)
	if err != nil {
		d.fail(err)
	}
	return n
}
