package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/caller"
	"understudy.example/pkg/problem"
)

// checkOrigin refuses a request that changes something on behalf of a web page
// of another origin.
func (a *api) checkOrigin(r *http.Request) error {
	if a.origin.Check(r) == nil {
		return nil
	}
	return problem.Errorf(problem.Forbidden, "the request comes from a web page of another origin (%q, and this is %q): only pages of the same host may change anything", r.Header.Get("Origin"), r.Host)
}

// smallBody is the size in bytes up to which a body is read in one piece. The
// memory of a larger one grows as it arrives, so that a mere announcement of
// its length reserves little.
const smallBody = 64 << 10

// readBody reads the body of at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	var body []byte
	var err error
	if r.ContentLength >= 0 && r.ContentLength <= smallBody {
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(caller.Body(w, r, limit), body)
	} else {
		var buf bytes.Buffer
		_, err = buf.ReadFrom(http.MaxBytesReader(w, io.NopCloser(caller.Body(w, r, limit)), limit))
		body = buf.Bytes()
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge(limit)
	}
	if err != nil {
		return nil, problem.Errorf(problem.BadRequest, "the body could not be read to its end: %s", err)
	}
	return body, nil
}

func tooLarge(limit int64) error {
	return problem.Errorf(problem.TooLarge, "the body is over the limit of %d bytes", limit)
}

// prefersMinimal tells whether the client wants no body in the answer
// (RFC 7240).
func prefersMinimal(h http.Header) bool {
	for _, line := range h["Prefer"] {
		for preference := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(preference, ";")
			if strings.EqualFold(strings.TrimSpace(name), minimal) {
				return true
			}
		}
	}
	return false
}

const minimal = "return=minimal"

// write has the request carried out and stamps the answer. It reports false
// after it has answered with an error.
func (a *api) write(w http.ResponseWriter, r *http.Request, req *store.Request) (store.Outcome, bool) {
	out, err := a.Replica.Write(r.Context(), req)
	if out.View != nil { // judged, also where it was refused
		a.stampOutcome(w.Header(), out)
	}
	if err != nil {
		a.fail(w, r, err)
		return out, false
	}
	return out, true
}
