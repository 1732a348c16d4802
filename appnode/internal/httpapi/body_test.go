package httpapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
)

// chunked is a request whose length is not announced.
func chunked(t *testing.T, method, target string, body io.Reader) *http.Request {
	r := httptest.NewRequestWithContext(t.Context(), method, target, io.MultiReader(body))
	require.EqualValues(t, -1, r.ContentLength)
	return r
}

func TestBodyLimits(t *testing.T) {
	value := strings.Repeat("v", store.MaxValue)
	n := newNode(t)
	require.Equal(t, http.StatusNoContent, n.do("PUT", "/v1/kv/a", value).Code)
	require.Equal(t, http.StatusNoContent, n.send(chunked(t, "PUT", "/v1/kv/b", strings.NewReader(value))).Code)
	for _, key := range []string{"a", "b"} {
		e, _ := n.m.Get(key)
		require.Equal(t, value, e.Value)
	}
	n.writes = 0
	const tooBig = "the body is over the limit of 1048576 bytes"
	refused(t, n.do("PUT", "/v1/kv/c", value+"v"), http.StatusRequestEntityTooLarge, problem.TooLarge, tooBig)
	refused(t, n.send(chunked(t, "PUT", "/v1/kv/c", strings.NewReader(value+"v"))), http.StatusRequestEntityTooLarge, problem.TooLarge, tooBig)

	patch := `{"a":"` + value[:100] + `"` + strings.Repeat(" ", store.MaxRequest-107) + `}`
	require.Len(t, patch, store.MaxRequest+1)
	refused(t, n.do("PATCH", "/v1/state", patch), http.StatusRequestEntityTooLarge, problem.TooLarge, "the limit of 8388608 bytes")
	refused(t, n.send(chunked(t, "PATCH", "/v1/state", strings.NewReader(patch))), http.StatusRequestEntityTooLarge, problem.TooLarge, "the limit of 8388608 bytes")
	refused(t, n.do("PATCH", "/v1/state", `{"a":"v`+value+`"}`), http.StatusRequestEntityTooLarge, problem.TooLarge, `the value of key "a" has 1048577 bytes`)
	require.Zero(t, n.writes)
	half := value[:600<<10]
	require.Equal(t, http.StatusOK, n.do("PATCH", "/v1/state", `{"a":"`+half+`","b":"`+half+`"}`).Code, "a patch may have more than a value")
}

func TestBodyThatEndsEarly(t *testing.T) {
	for _, length := range []int64{5, smallBody + 1, -1} {
		n := newNode(t)
		r := chunked(t, "PUT", "/v1/kv/a", io.MultiReader(strings.NewReader("v"), iotest.ErrReader(io.ErrUnexpectedEOF)))
		r.ContentLength = length
		refused(t, n.send(r), http.StatusBadRequest, problem.BadRequest, "the body could not be read to its end")
		require.Zero(t, n.writes)
	}
}

func TestPartialPutIsRefused(t *testing.T) {
	n := newNode(t)
	refused(t, n.do("PUT", "/v1/kv/a", "v", "Content-Range: bytes 0-0/5"), http.StatusBadRequest, problem.BadRequest, "a value is written as a whole")
	require.Zero(t, n.writes)
}
