// Package record is the one format of a journal record, from disk to wire to
// disk. A record is encoded and checksummed once, by the primary that makes it;
// journals and streams share the bytes as they are.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"understudy.example/pkg/protocol"
)

// Kind says what a record's payload is.
type Kind uint8

// The kinds of records.
const (
	EpochStart Kind = 1 // the first record of a primary's reign; no payload
	Profile    Kind = 2 // the group's profile
	Batch      Kind = 3 // sets and deletes, with the group time
)

// String returns the kind as documents write it.
func (k Kind) String() string {
	switch k {
	case EpochStart:
		return "epoch-start"
	case Profile:
		return "profile"
	case Batch:
		return "batch"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Limits and sizes, in bytes.
const (
	HeaderSize   = 40
	MaxPayload   = 9 << 20
	MaxRequestID = 128
	MaxSize      = HeaderSize + MaxRequestID + MaxPayload
)

const version = 1

// The header, little-endian. The checksum covers all that comes after itself.
const (
	offCRC     = 0
	offLength  = 4 // of the payload
	offVersion = 8
	offKind    = 9
	offIDLen   = 10
	offZero    = 11
	offGroup   = 12
	offEpoch   = 16
	offSeq     = 24
	offCommit  = 32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrShort is returned by Parse for bytes that end before the record does.
var ErrShort = errors.New("record is cut short")

// ErrCorrupt is wrapped by every error of Parse about bytes that are no record.
var ErrCorrupt = errors.New("record is damaged")

// Record is one entry of a group's history.
type Record struct {
	Group protocol.GroupID
	Epoch protocol.Epoch // from 1
	Seq   protocol.Seq   // from 1
	// Commit is the commit seq that the primary knew when it appended the
	// record; it is always below Seq.
	Commit protocol.Seq
	Kind   Kind
	// RequestID tells which request the record answers, and how: its id, the hash
	// of the request and the status of the answer. Package store makes and reads
	// it. It has at most MaxRequestID bytes, and none if the request had no id.
	RequestID []byte
	Payload   []byte // at most MaxPayload bytes
}

// Position returns the record's place in the group's history.
func (r *Record) Position() protocol.Position {
	return protocol.Position{Epoch: r.Epoch, Seq: r.Seq}
}

// Size returns the length of r's encoding in bytes.
func Size(r *Record) int { return HeaderSize + len(r.RequestID) + len(r.Payload) }

// Append appends the encoding of r to dst. It panics if r breaks a limit, for
// such a record could never be read again.
func Append(dst []byte, r *Record) []byte {
	if err := r.check(); err != nil {
		panic(fmt.Sprintf("record: append %s: %v", r.Position(), err))
	}
	at := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	dst = append(dst, r.RequestID...)
	dst = append(dst, r.Payload...)
	b := dst[at:]
	binary.LittleEndian.PutUint32(b[offLength:], uint32(len(r.Payload)))
	b[offVersion], b[offKind], b[offIDLen] = version, byte(r.Kind), byte(len(r.RequestID))
	binary.LittleEndian.PutUint32(b[offGroup:], uint32(r.Group))
	binary.LittleEndian.PutUint64(b[offEpoch:], uint64(r.Epoch))
	binary.LittleEndian.PutUint64(b[offSeq:], uint64(r.Seq))
	binary.LittleEndian.PutUint64(b[offCommit:], uint64(r.Commit))
	binary.LittleEndian.PutUint32(b[offCRC:], crc32.Checksum(b[offLength:], castagnoli))
	return dst
}

// Parse reads the record at the start of b and returns it with its length. The
// record's RequestID and Payload are parts of b. The error is ErrShort if b
// ends before the record does, and wraps ErrCorrupt if b holds no record.
func Parse(b []byte) (Record, int, error) {
	size, err := Peek(b)
	if err != nil {
		return Record{}, 0, err
	}
	if len(b) < size {
		return Record{}, 0, ErrShort
	}
	b = b[:size:size]
	if sum := crc32.Checksum(b[offLength:], castagnoli); sum != binary.LittleEndian.Uint32(b[offCRC:]) {
		return Record{}, 0, fmt.Errorf("%w: the checksum is wrong", ErrCorrupt)
	}
	if b[offVersion] != version || b[offZero] != 0 {
		return Record{}, 0, fmt.Errorf("%w: it is of format %d, and this program reads format %d", ErrCorrupt, b[offVersion], version)
	}
	body := HeaderSize + int(b[offIDLen])
	r := Record{
		Group:     protocol.GroupID(binary.LittleEndian.Uint32(b[offGroup:])),
		Epoch:     protocol.Epoch(binary.LittleEndian.Uint64(b[offEpoch:])),
		Seq:       protocol.Seq(binary.LittleEndian.Uint64(b[offSeq:])),
		Commit:    protocol.Seq(binary.LittleEndian.Uint64(b[offCommit:])),
		Kind:      Kind(b[offKind]),
		RequestID: b[HeaderSize:body:body],
		Payload:   b[body:],
	}
	if err := r.check(); err != nil {
		return Record{}, 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return r, size, nil
}

// Peek returns the length that the header at the start of b claims for its
// record, without checking anything but the limits. The error is as of Parse.
func Peek(b []byte) (int, error) {
	if len(b) < HeaderSize {
		return 0, ErrShort
	}
	length, id := binary.LittleEndian.Uint32(b[offLength:]), int(b[offIDLen])
	if length > MaxPayload || id > MaxRequestID {
		return 0, fmt.Errorf("%w: it claims a payload of %d bytes and a request id of %d", ErrCorrupt, length, id)
	}
	return HeaderSize + id + int(length), nil
}

// Span returns the seqs of the first and the last of the back-to-back records of
// b, zero if there are none. It looks at their headers alone, and checks only the
// limits and that the seqs are contiguous: whoever keeps the records checks the
// rest. The error is as of Parse.
func Span(b []byte) (first, last protocol.Seq, err error) {
	for at := 0; at < len(b); {
		n, err := Peek(b[at:])
		if err == nil && len(b)-at < n {
			err = ErrShort
		}
		if err != nil {
			return 0, 0, fmt.Errorf("record at byte %d: %w", at, err)
		}
		seq := protocol.Seq(binary.LittleEndian.Uint64(b[at+offSeq:]))
		if first == 0 {
			first = seq
		}
		if seq == 0 || at > 0 && seq != last+1 {
			return 0, 0, fmt.Errorf("%w: seq %d at byte %d comes after %d", ErrCorrupt, seq, at, last)
		}
		last = seq
		at += n
	}
	return first, last, nil
}

// Each calls fn for every one of the back-to-back records of b, with the bytes
// that encode it. It stops at fn's first error, and at bytes that are no whole
// record with an error as of Parse.
func Each(b []byte, fn func(r Record, raw []byte) error) error {
	for at := 0; at < len(b); {
		r, n, err := Parse(b[at:])
		if err != nil {
			return fmt.Errorf("record at byte %d: %w", at, err)
		}
		if err := fn(r, b[at:at+n:at+n]); err != nil {
			return err
		}
		at += n
	}
	return nil
}

func (r *Record) check() error {
	switch {
	case r.Kind < EpochStart || r.Kind > Batch:
		return fmt.Errorf("kind %d is not known", r.Kind)
	case r.Epoch == 0 || r.Seq == 0:
		return fmt.Errorf("position %s is no record's: epochs and seqs begin at 1", r.Position())
	case r.Commit >= r.Seq:
		return fmt.Errorf("commit seq %d must be below the record's own seq %d", r.Commit, r.Seq)
	case len(r.Payload) > MaxPayload || len(r.RequestID) > MaxRequestID:
		return fmt.Errorf("a payload of %d bytes (at most %d) or a request id of %d (at most %d) is too long", len(r.Payload), MaxPayload, len(r.RequestID), MaxRequestID)
	}
	return nil
}
