package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"understudy.example/pkg/protocol"
)

// format is the version of every file of a journal.
const format = 1

// castagnoli checks the headers here, as it does the records.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// corruption says why a journal cannot be trusted.
type corruption struct{ reason string }

func (c *corruption) Error() string { return c.reason }

func corrupt(format string, args ...any) error {
	return &corruption{fmt.Sprintf(format, args...)}
}

// formatError says that a file is sound, and of a version that this program
// does not read. That is no corruption: another program can read it.
func formatError(name string, has uint32) error {
	return fmt.Errorf("%s is of format %d, and this program reads format %d: use the program that wrote it", name, has, format)
}

// segmentHeader begins every segment file.
type segmentHeader struct {
	group      protocol.GroupID
	generation uint64
	index      uint64
	salt       [saltSize]byte
}

const (
	saltSize          = 16
	segmentHeaderSize = 64
	segmentMagic      = "UNDERSEG"
)

// The layout: magic, format u32, group u32, generation u64, index u64, salt,
// zeros, and at the end the checksum u32 of all before it.
func (h segmentHeader) encode() []byte {
	b := make([]byte, segmentHeaderSize)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint32(b[8:], format)
	binary.LittleEndian.PutUint32(b[12:], uint32(h.group))
	binary.LittleEndian.PutUint64(b[16:], h.generation)
	binary.LittleEndian.PutUint64(b[24:], h.index)
	copy(b[32:], h.salt[:])
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

func parseSegmentHeader(name string, b []byte) (h segmentHeader, err error) {
	if len(b) < segmentHeaderSize || string(b[:8]) != segmentMagic {
		return h, corrupt("%s does not begin as a segment does", name)
	}
	if crc32.Checksum(b[:60], castagnoli) != binary.LittleEndian.Uint32(b[60:]) {
		return h, corrupt("the header of %s is damaged", name)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != format {
		return h, formatError(name, v)
	}
	h.group = protocol.GroupID(binary.LittleEndian.Uint32(b[12:]))
	h.generation = binary.LittleEndian.Uint64(b[16:])
	h.index = binary.LittleEndian.Uint64(b[24:])
	copy(h.salt[:], b[32:])
	return h, nil
}

// seed is what the segment's salt contributes to the checksum of its marks.
func (h segmentHeader) seed() uint32 { return crc32.Checksum(h.salt[:], castagnoli) }

// MarkSize is the room in bytes that the caller of Write leaves in front of the
// records, for the mark that begins a batch on disk.
const MarkSize = 24

const markMagic = 0x4b524d55 // "UMRK"

// mark begins every batch on disk. Its checksum covers the segment's secret
// salt and the mark's own place, so that no bytes a user stores, and no copy
// from elsewhere, can pass for one.
type mark struct {
	first  protocol.Seq
	length uint32 // bytes of the records that follow
	count  uint32 // of records
}

// The layout: magic u32, checksum u32, first u64, length u32, count u32.
func (m mark) put(b []byte, seed uint32, at int64) {
	binary.LittleEndian.PutUint32(b, markMagic)
	binary.LittleEndian.PutUint64(b[8:], uint64(m.first))
	binary.LittleEndian.PutUint32(b[16:], m.length)
	binary.LittleEndian.PutUint32(b[20:], m.count)
	binary.LittleEndian.PutUint32(b[4:], markSum(b, seed, at))
}

// parseMark returns the mark at the start of b, which is byte at of its
// segment, and whether there is a sound one.
func parseMark(b []byte, seed uint32, at int64) (m mark, ok bool) {
	if len(b) < MarkSize || binary.LittleEndian.Uint32(b) != markMagic {
		return m, false
	}
	if binary.LittleEndian.Uint32(b[4:]) != markSum(b, seed, at) {
		return m, false
	}
	m.first = protocol.Seq(binary.LittleEndian.Uint64(b[8:]))
	m.length = binary.LittleEndian.Uint32(b[16:])
	m.count = binary.LittleEndian.Uint32(b[20:])
	return m, m.first > 0 && m.count > 0
}

func markSum(b []byte, seed uint32, at int64) uint32 {
	var place [8]byte
	binary.LittleEndian.PutUint64(place[:], uint64(at))
	return crc32.Update(crc32.Update(seed, castagnoli, place[:]), castagnoli, b[8:MarkSize])
}

// cutIntent is the contents of the file cut: what is left to be done of a cut
// that has been decided. Doing it twice is the same as doing it once.
type cutIntent struct {
	generation uint64
	index      uint64 // of the segment that becomes the last
	offset     int64  // from here on the segment becomes zeros
	markAt     int64  // where a shortened batch gets its new mark; 0 for none
	mark       [MarkSize]byte
}

const (
	intentSize  = 72
	intentMagic = "UNDERCUT"
)

// The layout: magic, format u32, zeros u32, generation u64, index u64, offset
// u64, markAt u64, mark; and instead of the zeros the checksum of all else.
func (c cutIntent) encode() []byte {
	b := make([]byte, intentSize)
	copy(b, intentMagic)
	binary.LittleEndian.PutUint32(b[8:], format)
	binary.LittleEndian.PutUint64(b[16:], c.generation)
	binary.LittleEndian.PutUint64(b[24:], c.index)
	binary.LittleEndian.PutUint64(b[32:], uint64(c.offset))
	binary.LittleEndian.PutUint64(b[40:], uint64(c.markAt))
	copy(b[48:], c.mark[:])
	binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b, castagnoli))
	return b
}

func parseCutIntent(name string, b []byte) (c cutIntent, err error) {
	if len(b) != intentSize || string(b[:8]) != intentMagic {
		return c, corrupt("%s is not the note of a cut", name)
	}
	sum := binary.LittleEndian.Uint32(b[12:])
	b = append([]byte(nil), b...)
	binary.LittleEndian.PutUint32(b[12:], 0)
	if crc32.Checksum(b, castagnoli) != sum {
		return c, corrupt("%s is damaged", name)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != format {
		return c, formatError(name, v)
	}
	c.generation = binary.LittleEndian.Uint64(b[16:])
	c.index = binary.LittleEndian.Uint64(b[24:])
	c.offset = int64(binary.LittleEndian.Uint64(b[32:]))
	c.markAt = int64(binary.LittleEndian.Uint64(b[40:]))
	copy(c.mark[:], b[48:])
	return c, nil
}

// reasonOf returns the reason of an error that is a corruption.
func reasonOf(err error) (string, bool) {
	c, ok := errors.AsType[*corruption](err)
	if !ok {
		return "", false
	}
	return c.reason, true
}
