// Package requestid names writes, so that each is applied exactly once however
// often it is sent.
//
// An id is of one of two kinds. A first hop (a monitor, or the client library)
// numbers its writes within a [Session] and tells with each the lowest number
// that is still unanswered: the group then remembers exactly what may still be
// sent again. A caller's own id is an Idempotency-Key, which the group remembers
// for ten minutes.
//
// What a first hop could not learn the outcome of it hands to its caller as a
// key of the form us1.SESSION.BIRTH.SERIAL. Whoever sends the same request with
// that key, through any monitor or node, asks for the very same id.
package requestid

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// Limits of a caller's own key, in bytes.
const (
	MinKey = 1
	MaxKey = 64
)

// Session is the random name of a first hop's run of writes. The zero value is
// none.
type Session [16]byte

// ID is the id of a write. The zero value is none.
type ID struct {
	Session Session // zero: the id is Key
	// Birth is a seq that was committed before the session began. The group may
	// forget a session, and tells by its birth that it may have done so.
	Birth  protocol.Seq
	Serial uint64 // from 1
	// Lowest is the lowest serial of the session that was unanswered when this
	// copy was sent, at most Serial; 0: not told.
	Lowest uint64
	Key    string // the caller's own; printable ASCII
}

// IsZero tells whether the write has no id.
func (id ID) IsZero() bool { return id == ID{} }

// OfSession tells whether a first hop made the id.
func (id ID) OfSession() bool { return id.Session != Session{} }

// keyPrefix begins the key of a session's id. Callers' own keys do not.
const keyPrefix = "us1."

// encoding is strict, so that an id has one text.
var encoding = base64.RawURLEncoding.Strict()

// Header returns the value of Understudy-Request for the id of a session.
func (id ID) Header() string {
	b := id.append(make([]byte, 0, 96))
	return string(strconv.AppendUint(append(b, '.'), id.Lowest, 10))
}

// AsKey returns the Idempotency-Key by which anybody can ask for the id again:
// the caller's own, or us1.SESSION.BIRTH.SERIAL. It is "" for no id.
func (id ID) AsKey() string {
	if !id.OfSession() {
		return id.Key
	}
	return string(id.append(append(make([]byte, 0, 96), keyPrefix...)))
}

// append writes what the two texts of a session's id have in common.
func (id ID) append(b []byte) []byte {
	b = append(encoding.AppendEncode(b, id.Session[:]), '.')
	b = append(strconv.AppendUint(b, uint64(id.Birth), 10), '.')
	return strconv.AppendUint(b, id.Serial, 10)
}

// ParseHeader reads the value of Understudy-Request.
func ParseHeader(text string) (ID, error) {
	if id, ok := parseSession(text, true); ok {
		return id, nil
	}
	return ID{}, problem.Errorf(problem.BadRequest, "%s is %s: it is SESSION.BIRTH.SERIAL.LOWEST, a session of 16 bytes in base64url and three numbers, of which LOWEST is at most SERIAL", wire.HeaderRequest, quote(text))
}

// ParseKey reads an Idempotency-Key.
func ParseKey(text string) (ID, error) {
	if rest, ours := strings.CutPrefix(text, keyPrefix); ours {
		if id, ok := parseSession(rest, false); ok {
			return id, nil
		}
		return ID{}, problem.Errorf(problem.BadRequest, "%s is %s: one that begins with %s is a key that an answer named, sent back as it was", wire.HeaderKey, quote(text), keyPrefix)
	}
	if err := CheckKey(text); err != nil {
		return ID{}, err
	}
	return ID{Key: text}, nil
}

// CheckKey tells what is wrong with a caller's own key, if anything.
func CheckKey(key string) error {
	if len(key) < MinKey || len(key) > MaxKey {
		return problem.Errorf(problem.BadRequest, "%s has %d bytes: it has %d to %d", wire.HeaderKey, len(key), MinKey, MaxKey)
	}
	for i := range len(key) {
		if c := key[i]; c < ' ' || c > '~' {
			return problem.Errorf(problem.BadRequest, "%s is %s: it is printable ASCII", wire.HeaderKey, quote(key))
		}
	}
	if strings.TrimSpace(key) != key || strings.HasPrefix(key, keyPrefix) {
		return problem.Errorf(problem.BadRequest, "%s is %s: a caller's own key neither begins nor ends with a space, and does not begin with %s", wire.HeaderKey, quote(key), keyPrefix)
	}
	return nil
}

// Of returns the id that the headers of a request give it, zero for none.
// Understudy-Request tells more than a key does: where both name the same id it
// counts, and where they do not the request is refused.
func Of(h http.Header) (ID, error) {
	named, keyed := h[wire.HeaderRequest], h[wire.HeaderKey]
	if len(named) > 1 || len(keyed) > 1 {
		return ID{}, problem.Errorf(problem.BadRequest, "the request has several ids: %s and %s are given at most once", wire.HeaderRequest, wire.HeaderKey)
	}
	var id, other ID
	var err error
	if len(keyed) == 1 {
		if other, err = ParseKey(keyed[0]); err != nil {
			return ID{}, err
		}
	}
	if len(named) == 0 {
		return other, nil
	}
	if id, err = ParseHeader(named[0]); err != nil {
		return ID{}, err
	}
	if len(keyed) == 1 && id.AsKey() != other.AsKey() {
		return ID{}, problem.Errorf(problem.BadRequest, "the request has two ids: %s is %s and %s is %s", wire.HeaderRequest, quote(named[0]), wire.HeaderKey, quote(keyed[0]))
	}
	return id, nil
}

// parseSession reads SESSION.BIRTH.SERIAL, and .LOWEST where it is told.
func parseSession(text string, told bool) (id ID, ok bool) {
	name, rest, _ := strings.Cut(text, ".")
	if len(name) != encoding.EncodedLen(len(id.Session)) {
		return ID{}, false
	}
	if _, err := encoding.Decode(id.Session[:], []byte(name)); err != nil || !id.OfSession() {
		return ID{}, false
	}
	birth, rest, _ := strings.Cut(rest, ".")
	b, ok := number(birth)
	if !ok {
		return ID{}, false
	}
	id.Birth = protocol.Seq(b)
	serial, lowest, more := strings.Cut(rest, ".")
	if id.Serial, ok = number(serial); !ok || id.Serial == 0 || more != told {
		return ID{}, false
	}
	if told {
		if id.Lowest, ok = number(lowest); !ok || id.Lowest > id.Serial {
			return ID{}, false
		}
	}
	return id, true
}

// number reads digits without a sign and without a zero before them.
func number(text string) (uint64, bool) {
	if len(text) > 1 && text[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}

// maxQuoted bounds what a sentence quotes, in bytes.
const maxQuoted = 100

func quote(text string) string {
	if len(text) > maxQuoted {
		return strconv.QuoteToASCII(text[:maxQuoted]) + "…"
	}
	return strconv.QuoteToASCII(text)
}
