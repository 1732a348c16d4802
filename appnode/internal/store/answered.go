package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/requestid"
)

// Answer is what the group remembers of the first answer to a request.
type Answer struct {
	Hash     uint64            // of the request, so that another one under its id is noticed
	Position protocol.Position // of the record that holds the answer
	Status   int               // HTTP status
}

// statuses are those of answers that are remembered.
var statuses = map[int]bool{
	http.StatusOK: true, http.StatusNoContent: true, http.StatusNotFound: true,
	http.StatusPreconditionFailed: true, http.StatusUnprocessableEntity: true, http.StatusInsufficientStorage: true,
}

// answered is the request id of a record: which request it answers, and how.
type answered struct {
	id     requestid.ID
	hash   uint64
	status int
}

// The kinds of ids in a record, by its first byte. Hash and status come next.
const (
	kindSession = 1 // session, birth, serial, lowest
	kindKey     = 2 // the key
	answeredLen = 1 + 8 + 2
)

// maxAnswered is the most bytes that an answered takes: three numbers of ten
// bytes after a session, or a key.
const maxAnswered = answeredLen + max(len(requestid.Session{})+3*binary.MaxVarintLen64, requestid.MaxKey)

// errAnswered is wrapped by every error about the form of a record's request id.
var errAnswered = errors.New("the request id of the record is damaged")

// AppendAnswered appends to dst the request id of the record that answers req
// with status: nothing if the request has no id.
func AppendAnswered(dst []byte, req *Request, status int) []byte {
	id := req.id
	if id.IsZero() {
		return dst
	}
	kind := byte(kindKey)
	if id.OfSession() {
		kind = kindSession
	}
	dst = binary.LittleEndian.AppendUint64(append(dst, kind), req.hash)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(status))
	if kind == kindKey {
		return append(dst, id.Key...)
	}
	dst = binary.AppendUvarint(append(dst, id.Session[:]...), uint64(id.Birth))
	return binary.AppendUvarint(binary.AppendUvarint(dst, id.Serial), id.Lowest)
}

// parseAnswered reads what AppendAnswered wrote.
func parseAnswered(b []byte) (answered, error) {
	if len(b) < answeredLen {
		return answered{}, fmt.Errorf("%w: %d bytes are too few", errAnswered, len(b))
	}
	a := answered{hash: binary.LittleEndian.Uint64(b[1:]), status: int(binary.LittleEndian.Uint16(b[9:]))}
	if !statuses[a.status] {
		return answered{}, fmt.Errorf("%w: no answer has the status %d", errAnswered, a.status)
	}
	kind, rest := b[0], b[answeredLen:]
	var err error
	switch kind {
	case kindSession:
		err = a.parseSession(rest)
	case kindKey:
		a.id.Key = string(rest)
		err = requestid.CheckKey(a.id.Key)
	default:
		err = fmt.Errorf("kind %d is not known", kind)
	}
	if err != nil {
		return answered{}, fmt.Errorf("%w: %w", errAnswered, err)
	}
	return a, nil
}

func (a *answered) parseSession(b []byte) error {
	id := &a.id
	n := copy(id.Session[:], b)
	r := batchReader{rest: b[n:]}
	birth, err1 := r.uvarint()
	serial, err2 := r.uvarint()
	lowest, err3 := r.uvarint()
	if err := errors.Join(err1, err2, err3, r.end()); err != nil {
		return err
	}
	id.Birth, id.Serial, id.Lowest = protocol.Seq(birth), serial, lowest
	if !id.OfSession() || serial == 0 || lowest > serial {
		return fmt.Errorf("serial %d with lowest %d of session %x is none", serial, lowest, id.Session)
	}
	return nil
}
