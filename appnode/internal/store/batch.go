package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Op is one effect on the map: a key set to a value, or deleted.
type Op struct {
	Key    string
	Value  []byte // of a key that is set
	Delete bool
}

// errBatch is wrapped by every error about the form of a batch.
var errBatch = errors.New("the payload is not a batch")

// minBatch is the size of a batch without ops: 8 bytes of time, 1 of count.
const minBatch = 9

// AppendBatch appends the payload of a batch record to dst: the group time in
// Unix nanoseconds and the ops, in order.
func AppendBatch(dst []byte, groupTime int64, ops []Op) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(groupTime))
	dst = binary.AppendUvarint(dst, uint64(len(ops)))
	for i := range ops {
		dst = appendOp(dst, &ops[i])
	}
	return dst
}

// appendOp writes the length of the key with the lowest bit telling a delete,
// the length of the value of a set, then key and value side by side: applying
// the op takes both in one allocation.
func appendOp(dst []byte, op *Op) []byte {
	if op.Delete {
		dst = binary.AppendUvarint(dst, uint64(len(op.Key))<<1|1)
		return append(dst, op.Key...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(op.Key))<<1)
	dst = binary.AppendUvarint(dst, uint64(len(op.Value)))
	dst = append(dst, op.Key...)
	return append(dst, op.Value...)
}

// ParseBatch reads the payload of a batch record. The ops do not share memory
// with it.
func ParseBatch(payload []byte) (groupTime int64, ops []Op, err error) {
	r, err := openBatch(payload)
	if err != nil {
		return 0, nil, err
	}
	for range r.count {
		op, err := r.next()
		if err != nil {
			return 0, nil, err
		}
		text := string(op.text)
		o := Op{Key: text[:op.key], Delete: op.delete}
		if !op.delete {
			o.Value = []byte(text[op.key:])
		}
		ops = append(ops, o)
	}
	return r.time, ops, r.end()
}

// batchReader walks over the ops of a payload without copying them.
type batchReader struct {
	time  int64
	count int
	rest  []byte
}

// rawOp is an op inside a payload.
type rawOp struct {
	text   []byte // key and value
	key    int    // length of the key
	delete bool
}

func openBatch(payload []byte) (batchReader, error) {
	if len(payload) < minBatch {
		return batchReader{}, fmt.Errorf("%w: %d bytes are too few", errBatch, len(payload))
	}
	r := batchReader{time: int64(binary.LittleEndian.Uint64(payload)), rest: payload[8:]}
	count, err := r.uvarint()
	if err != nil {
		return r, err
	}
	// An op has at least two bytes: a count above that is refused before it
	// makes anyone reserve memory or loop.
	if count > uint64(len(r.rest))/2 {
		return r, fmt.Errorf("%w: %d ops in %d bytes", errBatch, count, len(r.rest))
	}
	r.count = int(count)
	return r, nil
}

func (r *batchReader) next() (rawOp, error) {
	head, err := r.uvarint()
	if err != nil {
		return rawOp{}, err
	}
	key, isDelete := head>>1, head&1 == 1
	var value uint64
	if !isDelete {
		if value, err = r.uvarint(); err != nil {
			return rawOp{}, err
		}
	}
	if key == 0 || key > MaxKey || value > MaxValue {
		return rawOp{}, fmt.Errorf("%w: a key of %d and a value of %d bytes", errBatch, key, value)
	}
	size := int(key + value)
	if size > len(r.rest) {
		return rawOp{}, fmt.Errorf("%w: it ends inside an op", errBatch)
	}
	op := rawOp{text: r.rest[:size], key: int(key), delete: isDelete}
	r.rest = r.rest[size:]
	if !utf8.Valid(op.text[:op.key]) {
		return rawOp{}, fmt.Errorf("%w: a key is not UTF-8", errBatch)
	}
	return op, nil
}

func (r *batchReader) end() error {
	if len(r.rest) > 0 {
		return fmt.Errorf("%w: %d bytes follow its end", errBatch, len(r.rest))
	}
	return nil
}

func (r *batchReader) uvarint() (uint64, error) {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		return 0, fmt.Errorf("%w: a number is cut or too long", errBatch)
	}
	r.rest = r.rest[n:]
	return v, nil
}
