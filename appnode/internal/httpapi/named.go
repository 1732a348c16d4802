package httpapi

import (
	"encoding/binary"
	"net/http"
	"strings"

	"github.com/cespare/xxhash/v2"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/requestid"
)

// named gives req the id that the headers of r name, if they name one.
func named(req *store.Request, r *http.Request, body []byte) (*store.Request, error) {
	id, err := requestid.Of(r.Header)
	if err != nil || id.IsZero() {
		return req, err
	}
	return req.Named(id, fingerprint(r, body)), nil
}

// fingerprint tells a request from others that may come under the same id. It is
// a hash of all that decides what the request does: method, target, conditions
// and body.
func fingerprint(r *http.Request, body []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	// Each part but the last has its length before it, so that no two requests
	// are the same text.
	var length [4]byte
	for _, part := range [...]string{r.Method, r.URL.Path, conditionText(r.Header, keyIfMatch), conditionText(r.Header, keyIfNoneMatch)} {
		binary.LittleEndian.PutUint32(length[:], uint32(len(part)))
		_, _ = d.Write(length[:]) // a hash takes everything
		_, _ = d.WriteString(part)
	}
	_, _ = d.Write(body)
	return d.Sum64()
}

// conditionText tells also whether the header is there: one without tags is a
// condition that nothing meets.
func conditionText(h http.Header, name string) string {
	values := h[name]
	if len(values) == 0 {
		return ""
	}
	return ":" + strings.Join(values, ",")
}
