package store

import (
	"maps"
	"net/http"
	"slices"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/requestid"
)

// Request is what a client asks to be written. It is immutable.
type Request struct {
	ops  []Op
	cond Cond
	size int // bytes that it takes in a record, at most
	done int // HTTP status of the answer when it had an effect
	idle int // HTTP status when there was nothing to delete
	id   requestid.ID
	hash uint64
}

func newRequest(cond Cond, done, idle int, ops ...Op) *Request {
	return &Request{ops: ops, cond: cond, size: sizeOf(ops), done: done, idle: idle}
}

// Named returns the request with its id, so that it is applied once however
// often it comes. hash tells it from other requests that may come under the
// same id.
func (r *Request) Named(id requestid.ID, hash uint64) *Request {
	if id.IsZero() {
		return r
	}
	named := *r
	named.id, named.hash = id, hash
	named.size += maxAnswered
	return &named
}

// ID returns the id of the request, zero if it has none.
func (r *Request) ID() requestid.ID { return r.id }

// Put asks to set key to value. The caller must not change value afterwards.
func Put(key string, value []byte, cond Cond) (*Request, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	if err := checkValue(key, len(value)); err != nil {
		return nil, err
	}
	return newRequest(cond, http.StatusNoContent, http.StatusNoContent, Op{Key: key, Value: value}), nil
}

// Delete asks to delete key.
func Delete(key string, cond Cond) (*Request, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	return newRequest(cond, http.StatusNoContent, http.StatusNotFound, Op{Key: key, Delete: true}), nil
}

// Merge asks to set several keys, and to delete those whose value is nil: a
// JSON merge patch (RFC 7396) of strings and nulls. All of it is done or
// nothing.
func Merge(changes map[string]*string) (*Request, error) {
	ops := make([]Op, 0, len(changes))
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		op, err := mergeOp(key, changes[key])
		if err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	req := newRequest(Cond{}, http.StatusOK, http.StatusOK, ops...)
	if req.size > MaxRequest {
		return nil, problem.Errorf(problem.TooLarge, "the request takes %d bytes in the journal: at most %d", req.size, MaxRequest)
	}
	return req, nil
}

func mergeOp(key string, value *string) (Op, error) {
	if err := CheckKey(key); err != nil {
		return Op{}, err
	}
	if value == nil {
		return Op{Key: key, Delete: true}, nil
	}
	if err := checkValue(key, len(*value)); err != nil {
		return Op{}, err
	}
	return Op{Key: key, Value: []byte(*value)}, nil
}
