// Package link carries requests of the client API from a first hop, a monitor or
// the client library, to a node: many at once on a few connections, without the
// syntax of HTTP. At the node they enter the same [http.Handler] that serves its
// HTTP port.
//
// A connection begins as an HTTP Upgrade to [Protocol] and then carries frames
// (package frame). Every request has a number. The node ends every number with
// exactly one final frame: the end of its answer, an abort or a refusal. Only
// then is the number's place among the requests in flight free again, also where
// nobody waits for the answer any more. So both ends count the same, and a peer
// that goes beyond a bound is broken, not merely eager.
//
// All that is to be sent at one moment goes out in one write. Bodies go in parts,
// in turn, so that a small request never waits for a large one to end. Of an
// answer the node sends the first MiB unasked, and what follows as fast as it is
// read; a slow reader holds up nobody else.
//
// An error tells whether the request may have been carried out: [ErrNotSent] or
// [ErrLost].
package link

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Protocol is the name to which the HTTP connection is upgraded.
const Protocol = "understudy-link/1"

// Path is where a node accepts the upgrade.
const Path = "/internal/link"

// The bounds of the protocol. Both ends know them; a peer beyond one is cut.
const (
	MaxBody     = 8 << 20  // bytes of a request's body
	MaxInFlight = 4096     // requests on a connection
	MaxHeld     = 64 << 20 // bytes of the requests in flight on a connection, bodies above all
	MaxTarget   = 16 << 10 // bytes of a target
	MaxHead     = 64 << 10 // bytes of a request or answer without its body
	FirstPart   = 1 << 20  // bytes of an answer that are sent unasked, and so of Response.Body at most

	maxPart    = 64 << 10 // bytes of a body in one frame
	maxInline  = 16 << 10 // bytes of a request's body that travel in the frame of its head
	maxPayload = numberSize + 4 + MaxHead + maxPart
	restWindow = 1 << 20   // bytes of an answer beyond the first MiB that wait to be read at most
	restGrant  = 256 << 10 // as many are asked for at a time
	maxReason  = 256       // bytes of a sentence about a failure
)

// The bounds of time. They are judged every tick, and so up to a tick late or early.
const (
	tick        = 500 * time.Millisecond
	pingTicks   = 2  // of silence with something in flight: 1 s
	silentTicks = 6  // the same: the peer is gone, 3 s
	stuckTicks  = 10 // in which the peer takes nothing that is sent: 5 s

	farewellWait = time.Second // for the reason of a cut to leave
	readerWait   = time.Minute // for the reader of a long answer to ask for more
	defaultDial  = time.Second // for a connection and its upgrade
	redialAfter  = time.Second // before an additional connection is tried again
	defaultConns = 2           // to one node
	keepBuffer   = 1 << 20     // bytes of a buffer that is used again
)

// What an error of [Client.Do] means for the request; one of them is in every
// such error.
var (
	// ErrNotSent: the node was not given the whole request and never will be, or
	// has refused it unread. It is certainly not carried out.
	ErrNotSent = errors.New("not sent")
	// ErrLost: the request may have been carried out, and its answer is lost.
	ErrLost = errors.New("answer lost")
	// ErrClosed is in the errors of a client that was closed.
	ErrClosed = errors.New("link closed")
)

// Request is an HTTP request without its syntax.
type Request struct {
	Method string
	Target string      // path and query, escaped as in a request line
	Header http.Header // of which only those of [RequestHeaders] travel
	Body   []byte      // must not change until Do returns
}

// Response is the answer to a request.
type Response struct {
	Status int
	Header http.Header
	Body   []byte // all of it, or where Rest is set its first MiB
	// Rest reads what follows Body; nil: nothing does. It must be closed. It is
	// not bound to the context of Do, and its errors wrap ErrLost.
	Rest io.ReadCloser
}
