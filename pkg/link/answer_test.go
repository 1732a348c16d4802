package link

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWaysToWriteAnAnswer(t *testing.T) {
	long := string(pattern(FirstPart + 3*maxPart))
	for name, tc := range map[string]struct {
		method  string
		handler http.HandlerFunc
		status  int
		header  http.Header
		body    string
		rest    bool
	}{
		"nothing":     {"GET", func(http.ResponseWriter, *http.Request) {}, 200, http.Header{}, "", false},
		"status":      {"GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, 404, http.Header{}, "", false},
		"first wins":  {"GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); w.WriteHeader(200) }, 404, http.Header{}, "", false},
		"early hints": {"GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(201) }, 201, http.Header{}, "", false},
		"strings": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "a")
			_, _ = io.WriteString(w, "b")
		}, 200, http.Header{}, "ab", false},
		"header too late": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", `"1"`)
			w.WriteHeader(200)
			w.Header().Set("Vary", "x")
		}, 200, http.Header{"Etag": {`"1"`}}, "", false},
		"unknown header": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["X-Own"] = []string{"1", "2"}
		}, 200, http.Header{"X-Own": {"1", "2"}}, "", false},
		"length": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			_, _ = io.WriteString(w, "ab")
		}, 200, http.Header{"Content-Length": {"2"}}, "ab", false},
		"over the length": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			_, _ = io.WriteString(w, "ab")
			if n, err := io.WriteString(w, "c"); n != 0 || !errors.Is(err, http.ErrContentLength) {
				panic(err)
			}
		}, 200, http.Header{"Content-Length": {"2"}}, "ab", false},
		"head": {"HEAD", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(long)))
			if n, err := io.WriteString(w, long); n != len(long) || err != nil {
				panic(err)
			}
		}, 200, http.Header{"Content-Length": {strconv.Itoa(len(long))}}, "", false},
		"head without a length": {"HEAD", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "abc")
		}, 200, http.Header{"Content-Length": {"3"}}, "", false},
		"head with a length alone": {"HEAD", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "7")
		}, 200, http.Header{"Content-Length": {"7"}}, "", false},
		"no content": {"GET", func(w http.ResponseWriter, _ *http.Request) { refuseBody(w, 204) }, 204, http.Header{}, "", false},
		"not modified": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			refuseBody(w, 304)
		}, 304, http.Header{"Content-Length": {"9"}}, "", false},
		"a MiB of known length": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(FirstPart))
			_, _ = io.WriteString(w, long[:FirstPart])
		}, 200, http.Header{"Content-Length": {strconv.Itoa(FirstPart)}}, long[:FirstPart], false},
		"long": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, long)
		}, 200, http.Header{}, long, true},
		"long in small pieces": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			for rest := long; rest != ""; {
				n, _ := io.WriteString(w, rest[:min(1021, len(rest))])
				rest = rest[n:]
			}
		}, 200, http.Header{}, long, true},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, tc.handler, func(t *testing.T, s *scene) {
				for range 2 { // the second on what the first has left
					res, err := s.Do(t.Context(), &Request{Method: tc.method, Target: "/"})
					require.NoError(t, err)
					require.Equal(t, tc.status, res.Status)
					require.Equal(t, tc.header, res.Header)
					require.Equal(t, tc.rest, res.Rest != nil)
					require.Equal(t, tc.body, string(whole(t, res)))
				}
			})
		})
	}
}

func refuseBody(w http.ResponseWriter, status int) {
	w.WriteHeader(status)
	if n, err := io.WriteString(w, "x"); n != 0 || !errors.Is(err, http.ErrBodyNotAllowed) {
		panic(err)
	}
}

func TestAnswersThatAreBroken(t *testing.T) {
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		why     string
	}{
		"aborted": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "its handler ended it"},
		"aborted midway": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(pattern(3 * maxPart))
			panic(http.ErrAbortHandler)
		}, "its handler ended it"},
		"short": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "four")
		}, "it has 4 bytes where 5 were announced"},
		"short and long": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(4*maxPart))
			_, _ = w.Write(pattern(3 * maxPart))
		}, "bytes where 262144 were announced"},
		"long headers": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Vary", strings.Repeat("x", MaxHead)) }, "its headers are over 255 values or 65536 bytes"},
		"many headers": {func(w http.ResponseWriter, _ *http.Request) { w.Header()["Vary"] = make([]string, 256) }, "its headers are over"},
	} {
		t.Run(name, func(t *testing.T) {
			first := true
			play(t, func(w http.ResponseWriter, r *http.Request) {
				if first {
					first = false
					tc.handler(w, r)
				}
			}, func(t *testing.T, s *scene) {
				_, err := s.get("/")
				require.ErrorIs(t, err, ErrLost)
				require.ErrorContains(t, err, tc.why)
				_, err = s.get("/")
				require.NoError(t, err, "the connection goes on")
			})
		})
	}
}

func TestAnswerBrokenInItsRest(t *testing.T) {
	play(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(pattern(FirstPart + maxPart))
		panic(http.ErrAbortHandler)
	}, func(t *testing.T, s *scene) {
		res, err := s.get("/")
		require.NoError(t, err)
		b, err := io.ReadAll(res.Rest)
		require.ErrorIs(t, err, ErrLost)
		require.LessOrEqual(t, len(b), maxPart)
		require.NoError(t, res.Rest.Close())
	})
}
