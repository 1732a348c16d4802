package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"understudy.example/pkg/link"
	"understudy.example/pkg/problem"
)

// How long a body may take to come, which has room reserved for it meanwhile.
const (
	bodyPatience = 10 * time.Second // for the next bytes of it
	bodyRate     = 64 << 10         // bytes of it a second, beside that
)

// take reads a request to its end, so that it can be sent more than once. The
// caller releases what it holds.
func (p *Proxy) take(w http.ResponseWriter, r *http.Request) (req *link.Request, release func(), err error) {
	size := r.ContentLength
	switch {
	case size > MaxRequest:
		return nil, nil, tooLarge()
	case size < 0:
		size = MaxRequest // it does not say: room for as much as may come
	}
	release, err = p.admit(r, size)
	if err != nil {
		return nil, nil, err
	}
	req = &link.Request{Method: r.Method, Target: targetOf(r), Header: r.Header}
	if size > 0 {
		if req.Body, err = readBody(w, r); err != nil {
			release()
			return nil, nil, err
		}
	}
	return req, release, nil
}

// targetOf returns path and query, byte for byte as they came.
func targetOf(r *http.Request) string {
	if len(r.RequestURI) > 0 && r.RequestURI[0] == '/' {
		return r.RequestURI
	}
	return r.URL.RequestURI() // the absolute form
}

// readBody reads a body for which there is room.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var body []byte
	var err error
	to := http.NewResponseController(w)
	if n := r.ContentLength; n >= 0 {
		body = make([]byte, n)
		_, err = io.ReadFull(arrivingBy(r.Body, to, n), body)
	} else {
		var buf bytes.Buffer
		_, err = buf.ReadFrom(arrivingBy(http.MaxBytesReader(w, r.Body, MaxRequest), to, MaxRequest))
		body = buf.Bytes()
	}
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, tooLarge()
	}
	if err != nil {
		return nil, problem.Errorf(problem.BadRequest, "the body could not be read to its end: %v", err)
	}
	return body, nil
}

// arriving reads a body and gives up one that does not come: its caller may be
// gone without a word. At the end of the body the server lifts the deadline.
type arriving struct {
	from io.Reader
	to   *http.ResponseController
	last time.Time // by which all of it is to be here
}

func arrivingBy(from io.Reader, to *http.ResponseController, size int64) *arriving {
	return &arriving{from, to, time.Now().Add(bodyPatience + time.Duration(size)*time.Second/bodyRate)}
}

// Read implements [io.Reader].
func (a *arriving) Read(p []byte) (int, error) {
	by := time.Now().Add(bodyPatience)
	if a.last.Before(by) {
		by = a.last
	}
	_ = a.to.SetReadDeadline(by) // an error shows at the read; a server without deadlines has none
	return a.from.Read(p)
}

func tooLarge() error {
	return problem.Errorf(problem.TooLarge, "the request is over %d bytes", MaxRequest)
}

// clientOf names the caller for the purpose of fairness: its address.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
