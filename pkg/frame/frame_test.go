package frame

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
)

func TestFramesComeBackAsWritten(t *testing.T) {
	b := Append(nil, 3, 7, []byte("records"))
	b = AppendNumber(b, 5, 9, 1<<40)
	b = Append(b, 1, 0, nil)
	r := bufio.NewReader(bytes.NewReader(b))

	h, payload, err := Read(r, nil)
	require.NoError(t, err)
	require.Equal(t, Header{Type: 3, Epoch: 7, Length: 7}, h)
	require.Equal(t, "records", string(payload))

	h, payload, err = Read(r, make([]byte, 64))
	require.NoError(t, err)
	require.Equal(t, Header{Type: 5, Epoch: 9, Length: 8}, h)
	n, err := Number(payload)
	require.NoError(t, err)
	require.Equal(t, uint64(1<<40), n)

	h, payload, err = Read(r, nil)
	require.NoError(t, err)
	require.Equal(t, Header{Type: 1}, h)
	require.Empty(t, payload)

	_, _, err = Read(r, nil)
	require.Equal(t, io.EOF, err)
}

func TestOnlyAWholeFrameIsBuffered(t *testing.T) {
	first, second := Append(nil, 1, 7, nil), Append(nil, 3, 7, []byte("records"))
	for n := range len(second) + 1 {
		r := bufio.NewReader(io.MultiReader(bytes.NewReader(append(bytes.Clone(first), second[:n]...)), strings.NewReader(string(second[n:]))))
		require.False(t, Buffered(r), "nothing has been read")
		_, _, err := Read(r, nil)
		require.NoError(t, err)
		require.Equal(t, n == len(second), Buffered(r), "%d bytes of it are here", n)
		_, _, err = Read(r, nil)
		require.NoError(t, err)
	}
}

func TestFrameCutAnywhereIsAnError(t *testing.T) {
	whole := Append(nil, 3, 7, []byte("records"))
	for cut := 1; cut < len(whole); cut++ {
		_, _, err := Read(bufio.NewReader(bytes.NewReader(whole[:cut])), nil)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut at %d", cut)
	}
}

func TestFrameTooLongIsRefusedUnread(t *testing.T) {
	b := AppendHeader(nil, 3, 7, MaxPayload+1)
	_, _, err := Read(bufio.NewReader(bytes.NewReader(b)), nil)
	require.ErrorIs(t, err, ErrTooLong)
}

func TestFrameOverItsProtocolsLimitIsRefused(t *testing.T) {
	b := Append(nil, 3, 7, []byte("records"))
	_, _, err := ReadUpTo(bufio.NewReader(bytes.NewReader(b)), nil, 6)
	require.ErrorIs(t, err, ErrTooLong)
	_, payload, err := ReadUpTo(bufio.NewReader(bytes.NewReader(b)), nil, 7)
	require.NoError(t, err)
	require.Equal(t, "records", string(payload))
}

func TestRetype(t *testing.T) {
	b := Append(nil, 3, 7, []byte("records"))
	Retype(b, 9)
	require.Equal(t, Append(nil, 9, 7, []byte("records")), b)
}

func TestNumberOfAnotherLength(t *testing.T) {
	_, err := Number([]byte("seven b"))
	require.ErrorContains(t, err, "7 bytes")
}

func TestUpgradeCarriesFramesBothWays(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, in, err := Accept(w, r, "understudy-test/1")
		if err != nil {
			return
		}
		defer conn.Close()
		h, payload, err := Read(in, nil)
		if err == nil {
			_, _ = conn.Write(Append(nil, h.Type+1, h.Epoch+1, payload))
		}
	}))
	defer srv.Close()
	address := strings.TrimPrefix(srv.URL, "http://")
	var d net.Dialer

	conn, in, err := Dial(t.Context(), d.DialContext, address, "/x", "understudy-test/1")
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write(Append(nil, 1, 4, []byte("ping")))
	require.NoError(t, err)
	h, payload, err := Read(in, nil)
	require.NoError(t, err)
	require.Equal(t, Header{Type: 2, Epoch: 5, Length: 4}, h)
	require.Equal(t, "ping", string(payload))

	_, _, err = Dial(t.Context(), d.DialContext, address, "/x", "understudy-test/2")
	require.Equal(t, problem.UnsupportedVersion, problem.CodeOf(err))
}

func FuzzRead(f *testing.F) {
	f.Add(Append(nil, 3, 7, []byte("records")))
	f.Add(AppendNumber(nil, 5, 9, 12))
	f.Add([]byte{255, 255, 255, 255, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		var again []byte
		for {
			h, payload, err := Read(r, nil)
			if err != nil {
				break
			}
			require.Len(t, payload, h.Length)
			again = Append(again, h.Type, h.Epoch, payload)
		}
		require.True(t, bytes.HasPrefix(b, again))
	})
}
