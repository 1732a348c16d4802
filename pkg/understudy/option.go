package understudy

import (
	"net/http"

	"understudy.example/pkg/wire"
)

// Option changes what a call asks for.
type Option struct{ set func(http.Header) }

func header(name, value string) Option {
	return Option{func(h http.Header) { h.Set(name, value) }}
}

// IfMatch has a write applied, or an entry returned, only if the key's entry
// still has the ETag. Otherwise the error is ErrPrecondition.
func IfMatch(etag string) Option { return header("If-Match", etag) }

// IfNoneMatch has a write applied only if the key's entry does not have the
// ETag; otherwise the error is ErrPrecondition. A Get with it of an entry that
// has the ETag returns ErrNotModified.
func IfNoneMatch(etag string) Option { return header("If-None-Match", etag) }

// IfAbsent has a Put applied only if there is no such key. Otherwise the error
// is ErrPrecondition.
func IfAbsent() Option { return IfNoneMatch("*") }

// Stale lets a read return what the replica holds, without asking whether that
// still is the newest.
func Stale() Option { return header(wire.HeaderConsistency, wire.Stale) }

// Session lets a read return any state at the position or after it. With the
// position of a client, [Client.Position], it sees all that this client has
// written and read, and with one that another process has passed on, what that
// one has.
func Session(at Position) Option {
	return Option{func(h http.Header) {
		h.Set(wire.HeaderConsistency, wire.Session)
		if at != (Position{}) {
			h.Set(wire.HeaderPosition, at.String())
		}
	}}
}

// IdempotencyKey names a write, so that whoever sends the same write with the
// same key within ten minutes has it applied once. The key is the caller's own,
// of 1 to 64 printable ASCII characters, or what [RetryKey] has returned.
func IdempotencyKey(key string) Option { return header(wire.HeaderKey, key) }

func headersOf(options []Option) http.Header {
	h := make(http.Header, len(options)+1) // and the id of a write
	for _, o := range options {
		if o.set != nil {
			o.set(h)
		}
	}
	return h
}
