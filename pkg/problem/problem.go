// Package problem holds the closed list of error codes, and for each its HTTP
// status, whether asking again can help, and the exit code of the client.
// Errors travel as application/problem+json (RFC 9457).
package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// Code is a machine-readable reason from the closed list.
type Code string

// The codes.
const (
	BadRequest         Code = "bad_request"
	NotFound           Code = "not_found"
	NotUpdatable       Code = "not_updatable"
	TooLarge           Code = "too_large"
	PreconditionFailed Code = "precondition_failed"
	IDReused           Code = "id_reused"
	SessionExpired     Code = "session_expired"
	SpansGroups        Code = "spans_groups"
	NotPrimary         Code = "not_primary"
	Fenced             Code = "fenced"
	NoPrimary          Code = "no_primary"
	NoLeader           Code = "no_leader"
	TooFewCopies       Code = "too_few_copies"
	DiskFull           Code = "disk_full"
	OutOfMemory        Code = "out_of_memory"
	Overloaded         Code = "overloaded"
	OutcomeUnknown     Code = "outcome_unknown"
	Compacted          Code = "compacted"
	HistoryLost        Code = "history_lost"
	WouldLoseData      Code = "would_lose_data"
	StaleVersion       Code = "stale_version"
	WrongCluster       Code = "wrong_cluster"
	DuplicateNode      Code = "duplicate_node"
	RegistryBehind     Code = "registry_behind"
	Forbidden          Code = "forbidden"
	UnsupportedVersion Code = "unsupported_version"
)

// The client's exit codes.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitUnavailable = 3
	ExitRefused     = 4
)

// Meaning is what a code stands for on the wire and at the command line.
type Meaning struct {
	Status    int  // HTTP status
	Retryable bool // the same request may succeed later, and is safe to send again
	Exit      int  // exit code of the client
	Title     string
}

var meanings = map[Code]Meaning{
	BadRequest:         {http.StatusBadRequest, false, ExitFailed, "the request is not valid"},
	NotFound:           {http.StatusNotFound, false, ExitFailed, "there is no such thing"},
	NotUpdatable:       {http.StatusUnprocessableEntity, false, ExitRefused, "the profile does not allow this key to be updated"},
	TooLarge:           {http.StatusRequestEntityTooLarge, false, ExitFailed, "the request is over a limit"},
	PreconditionFailed: {http.StatusPreconditionFailed, false, ExitRefused, "the condition does not hold"},
	IDReused:           {http.StatusUnprocessableEntity, false, ExitRefused, "the request id was used for another request"},
	SessionExpired:     {http.StatusConflict, false, ExitRefused, "the group no longer remembers this session of requests"},
	SpansGroups:        {http.StatusUnprocessableEntity, false, ExitRefused, "the request spans several groups"},
	NotPrimary:         {http.StatusServiceUnavailable, true, ExitUnavailable, "this node is not the primary"},
	Fenced:             {http.StatusServiceUnavailable, true, ExitUnavailable, "this node has been deposed"},
	NoPrimary:          {http.StatusServiceUnavailable, true, ExitUnavailable, "there is no primary now"},
	NoLeader:           {http.StatusServiceUnavailable, true, ExitUnavailable, "the monitors have no leader now"},
	TooFewCopies:       {http.StatusServiceUnavailable, true, ExitUnavailable, "too few replicas are in sync"},
	DiskFull:           {http.StatusInsufficientStorage, true, ExitUnavailable, "the disk is full"},
	OutOfMemory:        {http.StatusInsufficientStorage, false, ExitRefused, "the map has reached its size limit"},
	Overloaded:         {http.StatusServiceUnavailable, true, ExitUnavailable, "too many requests are waiting"},
	OutcomeUnknown:     {http.StatusGatewayTimeout, false, ExitUnavailable, "whether the write was applied is not known"},
	Compacted:          {http.StatusGone, false, ExitRefused, "the asked history is no longer kept"},
	HistoryLost:        {http.StatusConflict, false, ExitRefused, "the position is of a branch of history that was lost"},
	WouldLoseData:      {http.StatusConflict, false, ExitRefused, "acknowledged writes could be lost"},
	StaleVersion:       {http.StatusConflict, false, ExitRefused, "the state has changed since it was read"},
	WrongCluster:       {http.StatusConflict, false, ExitRefused, "this belongs to another cluster"},
	DuplicateNode:      {http.StatusConflict, false, ExitRefused, "another node has this name or directory"},
	RegistryBehind:     {http.StatusConflict, false, ExitRefused, "the registry is older than the nodes"},
	Forbidden:          {http.StatusForbidden, false, ExitRefused, "this is not allowed"},
	UnsupportedVersion: {http.StatusBadRequest, false, ExitFailed, "the message is of another version"},
}

// Codes returns the meaning of every code.
func Codes() map[Code]Meaning { return maps.Clone(meanings) }

// Meaning returns what the code stands for. An unknown code reads as an
// internal error that must not be repeated blindly.
func (c Code) Meaning() Meaning {
	if m, ok := meanings[c]; ok {
		return m
	}
	return Meaning{http.StatusInternalServerError, false, ExitFailed, "an unknown error"}
}

// Error is an error with a code: a sentence for people, a code for machines.
type Error struct {
	Code       Code
	Detail     string
	RetryAfter time.Duration // 0: none
	// Key is what a write whose outcome is unknown is asked again with, as its
	// Idempotency-Key; "" if it had no id.
	Key string
}

// Errorf makes an [Error].
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (e *Error) Error() string { return e.Detail }

// CodeOf returns the code of err, or "" where it has none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// Body is the JSON form of an error.
type Body struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      Code   `json:"code"`
	Retryable bool   `json:"retryable"`
	Detail    string `json:"detail"`
	Key       string `json:"key,omitempty"`
}

// ContentType is the media type of an error answer.
const ContentType = "application/problem+json"

// BodyOf returns the JSON form of err. One without a code reads as internal.
func BodyOf(err error) Body {
	e := errorOf(err)
	m := e.Code.Meaning()
	return Body{
		Type: "about:blank", Title: m.Title, Status: m.Status, Code: e.Code, Retryable: m.Retryable, Detail: e.Detail, Key: e.Key,
	}
}

func errorOf(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: "internal", Detail: err.Error()}
}

// Write answers a request with err. An error without a code is answered 500.
func Write(w http.ResponseWriter, err error) {
	e := errorOf(err)
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	if e.RetryAfter > 0 {
		// Whole seconds, rounded up: the header knows no smaller unit.
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	body := BodyOf(e)
	w.WriteHeader(body.Status)
	_ = json.NewEncoder(w).Encode(body) // the peer may be gone: there is nobody left to tell
}

// maxRetryAfter bounds, in seconds, the wait that a server may ask for.
const maxRetryAfter = 3600

// Parse reads an error answer of the given status. A body that is no problem
// document becomes an error without a code of the list.
func Parse(status int, header http.Header, body []byte) *Error {
	var b Body
	if json.Unmarshal(body, &b) != nil || b.Code == "" {
		if len(body) > 200 {
			body = body[:200]
		}
		return &Error{Code: "http_" + Code(strconv.Itoa(status)), Detail: fmt.Sprintf("the server answered %d: %s", status, body)}
	}
	e := &Error{Code: b.Code, Detail: b.Detail, Key: b.Key}
	if s, err := strconv.Atoi(header.Get("Retry-After")); err == nil && s > 0 && s <= maxRetryAfter {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}
