package link

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Many callers with bodies of all sizes, some of whom leave early: everybody
// gets his own answer or the truth, and nothing is left in flight.
func TestManyCallers(t *testing.T) {
	links := NewServer(http.HandlerFunc(echo), ServerOptions{})
	srv := httptest.NewServer(links)
	defer srv.Close()
	c := NewClient(ClientOptions{Dial: new(net.Dialer).DialContext, Address: strings.TrimPrefix(srv.URL, "http://")})
	source := pattern(4 << 20)
	var wait sync.WaitGroup
	var mu sync.Mutex
	answered := 0
	for i := range 1000 {
		wait.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 7))
			for range 2 {
				if manyCallersOne(t, c, rng, source) {
					mu.Lock()
					answered++
					mu.Unlock()
				}
			}
		})
	}
	wait.Wait()
	require.NotZero(t, answered)
	require.Eventually(t, func() bool { return settled(c) && idle(links) }, 10*time.Second, time.Millisecond)
	c.Close()
	links.Close()
}

// manyCallersOne carries one request, and reports whether it was answered.
func manyCallersOne(t *testing.T, c *Client, rng *rand.Rand, source []byte) bool {
	size := rng.IntN(2000)
	switch rng.IntN(200) {
	case 0:
		size = rng.IntN(len(source) / 2)
	case 1, 2, 3, 4, 5:
		size = rng.IntN(150 << 10)
	}
	body := source[rng.IntN(len(source)-size):][:size]
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if rng.IntN(4) == 0 {
		time.AfterFunc(time.Duration(rng.IntN(int(20*time.Millisecond))), cancel)
	}
	res, err := c.Do(ctx, &Request{Method: http.MethodPut, Target: "/" + strconv.Itoa(size), Body: body})
	if err != nil {
		require.ErrorIs(t, err, context.Canceled)
		require.NotEqual(t, errors.Is(err, ErrLost), errors.Is(err, ErrNotSent))
		return false
	}
	got := res.Body
	if res.Rest != nil {
		if rng.IntN(3) == 0 {
			require.NoError(t, res.Rest.Close())
			return true
		}
		rest, err := io.ReadAll(res.Rest)
		require.NoError(t, err)
		require.NoError(t, res.Rest.Close())
		got = append(got, rest...)
	}
	if !bytes.Equal(body, got) {
		require.Equal(t, crc32.ChecksumIEEE(body), crc32.ChecksumIEEE(got), "%d bytes became %d", len(body), len(got))
	}
	return true
}

// idle tells whether no job is left at the server.
func idle(links *Server) bool {
	links.mu.Lock()
	defer links.mu.Unlock()
	for conn := range links.conns {
		conn.mu.Lock()
		left := len(conn.jobs) + conn.count + conn.held
		conn.mu.Unlock()
		if left != 0 {
			return false
		}
	}
	return true
}
