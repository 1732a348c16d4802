// Package call sends single requests to a cluster on one of several ways: at a
// fixed address, such as a monitor's, at whoever is the primary now, or by the
// client library. It never repeats a request by itself: what a way is worth
// shows in the attempts that fail.
package call

import (
	"context"
	"net/http"
)

// Codes of attempts that no problem document explains.
const (
	NoConnection = "no_connection" // the request has not been sent
	NoAnswer     = "no_answer"     // it may have been carried out
)

// Request is a call on one key.
type Request struct {
	Method string // GET or PUT
	Key    string
	Match  string // the entity tag that the key must have; "" for any
	Absent bool   // the key must not exist
	Stale  bool   // read the state as it is
	ID     string // the Idempotency-Key; "" for none
	Hop    string // the id that a first hop gives a write; "" for none. The library gives its own
	Body   []byte
}

// Answer is how one attempt ended. Body is valid until the next call.
type Answer struct {
	Status int    // 0: no answer
	Code   string // why it is no success; "" for a success
	Detail string // the same for people
	Key    string // the Idempotency-Key to ask again with, where the answer names one
	Sent   bool   // the request may have been carried out
	ETag   string
	Node   string // who answered; "" where that is not told
	Body   []byte
}

// Caller sends requests, one at a time.
type Caller interface {
	Call(ctx context.Context, req Request) Answer
	Close()
}

// Success tells whether an answer is one.
func (a Answer) Success() bool {
	return a.Status >= http.StatusOK && a.Status < http.StatusMultipleChoices
}
