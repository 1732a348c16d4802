package rawhttp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func server(t testing.TB, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := Dial(t.Context(), strings.TrimPrefix(srv.URL, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestRequestsOverOneConnection(t *testing.T) {
	var peers []string
	c := server(t, func(w http.ResponseWriter, r *http.Request) {
		peers = append(peers, r.RemoteAddr)
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Etag", `"3.9"`)
		if r.Method == http.MethodPut {
			w.Header().Set("Understudy-Node", "app1")
		}
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.RequestURI, r.Header.Get("If-Match"), body)
	})
	res, err := c.Do(Request{Method: "PUT", Path: "/v1/kv/a%2Fb", Header: "If-Match: \"3.8\"\r\n", Body: []byte("value")}, time.Second)
	require.NoError(t, err)
	require.Equal(t, 200, res.Status)
	require.Equal(t, `"3.9"`, string(res.ETag))
	require.Equal(t, "app1", res.Node)
	require.Equal(t, `PUT /v1/kv/a%2Fb "3.8" value`, string(res.Body))
	require.False(t, res.Last)

	res, err = c.Do(Request{Method: "GET", Path: "/v1/state?x=1"}, time.Second)
	require.NoError(t, err)
	require.Equal(t, `GET /v1/state?x=1  `, string(res.Body))
	require.Empty(t, res.Node)
	require.Len(t, peers, 2)
	require.Equal(t, peers[0], peers[1])
}

func TestBodiesOfEveryKind(t *testing.T) {
	large := strings.Repeat("0123456789", 300_000)
	c := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunked":
			for part := range strings.SplitSeq(large, "5") {
				_, _ = io.WriteString(w, part+"5")
			}
		case "/large":
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			_, _ = io.WriteString(w, large)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/unchanged":
			w.WriteHeader(http.StatusNotModified)
		case "/last":
			w.Header().Set("Connection", "close")
		}
	})
	res, err := c.Do(Request{Method: "GET", Path: "/chunked"}, 5*time.Second)
	require.NoError(t, err)
	require.Equal(t, large+"5", string(res.Body))
	res, err = c.Do(Request{Method: "GET", Path: "/large"}, 5*time.Second)
	require.NoError(t, err)
	require.Equal(t, large, string(res.Body))
	res, err = c.Do(Request{Method: "HEAD", Path: "/large"}, time.Second)
	require.NoError(t, err)
	require.Empty(t, res.Body)
	for path, status := range map[string]int{"/none": 204, "/unchanged": 304, "/empty": 200} {
		res, err = c.Do(Request{Method: "GET", Path: path}, time.Second)
		require.NoError(t, err)
		require.Equal(t, status, res.Status)
		require.Empty(t, res.Body)
	}
	res, err = c.Do(Request{Method: "GET", Path: "/last"}, time.Second)
	require.NoError(t, err)
	require.True(t, res.Last)
}

func TestAServerThatHangs(t *testing.T) {
	release := make(chan struct{})
	c := server(t, func(http.ResponseWriter, *http.Request) { <-release })
	_, err := c.Do(Request{Method: "GET", Path: "/"}, 20*time.Millisecond)
	close(release)
	require.ErrorContains(t, err, "i/o timeout")
}

func TestNobodyListens(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	_, err = Dial(t.Context(), ln.Addr().String())
	require.ErrorContains(t, err, "refused")
}

// answer parses text as an answer.
func answer(text string) (Response, error) {
	c := &Client{r: bufio.NewReaderSize(strings.NewReader(text), 4096)}
	return c.read(false)
}

func TestMalformedAnswers(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":              "",
		"another protocol":     "SSH-2.0-OpenSSH_9.6\r\n",
		"an old version":       "HTTP/1.0 200 OK\r\n\r\n",
		"no status":            "HTTP/1.1 abc\r\n\r\n",
		"an interim answer":    "HTTP/1.1 100 Continue\r\n\r\n",
		"no length":            "HTTP/1.1 200 OK\r\n\r\n",
		"a bad length":         "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"a huge length":        "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
		"a short body":         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
		"a long line":          "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 5000) + "\r\n\r\n",
		"endless headers":      "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 200),
		"a bad chunk":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"a chunk without end":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
		"chunks that are torn": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
		"torn headers":         "HTTP/1.1 200 OK\r\nContent-",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := answer(text)
			require.Error(t, err)
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"1.2\"\r\n\r\nabc")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	f.Add("HTTP/1.1 204 No Content\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		res, err := answer(text)
		if err == nil && (res.Status < 200 || len(res.Body) > len(text)) {
			t.Fatalf("%d bytes of body out of %d, status %d", len(res.Body), len(text), res.Status)
		}
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	c := server(b, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	req := Request{Method: "PUT", Path: "/v1/kv/key", Body: make([]byte, 100)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Do(req, time.Second); err != nil {
			b.Fatal(err)
		}
	}
}
