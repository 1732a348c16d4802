package frame

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"understudy.example/pkg/problem"
)

// readBuffer is the size of the read buffer of an upgraded connection, in
// bytes: many small frames arrive together.
const readBuffer = 64 << 10

// Dial connects to address, asks for an upgrade of path to protocol, and
// returns the connection with a reader that may already hold bytes of the
// peer. ctx bounds the whole handshake, and has no effect afterwards. A
// refusal of the peer is a *problem.Error.
func Dial(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error), address, path, protocol string) (net.Conn, *bufio.Reader, error) {
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	// The context ends a handshake that hangs.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	r, err := upgrade(conn, address, path, protocol)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, r, nil
}

func upgrade(conn net.Conn, address, path, protocol string) (*bufio.Reader, error) {
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", path, address, protocol)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(conn, readBuffer)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // the status tells enough
		_ = res.Body.Close()
		return nil, problem.Parse(res.StatusCode, res.Header, body)
	}
	return r, nil
}

// Accept answers a request for an upgrade to protocol, and hands the
// connection over. On an error the request has been answered.
func Accept(w http.ResponseWriter, r *http.Request, protocol string) (net.Conn, *bufio.Reader, error) {
	return AcceptSized(w, r, protocol, readBuffer)
}

// AcceptSized is [Accept] with a read buffer of the given size at least, in bytes.
func AcceptSized(w http.ResponseWriter, r *http.Request, protocol string, size int) (net.Conn, *bufio.Reader, error) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), protocol) {
		err := problem.Errorf(problem.UnsupportedVersion, "this path speaks %s, and %q was asked for: run the same release everywhere", protocol, r.Header.Get("Upgrade"))
		problem.Write(w, err)
		return nil, nil, err
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		err = fmt.Errorf("take over the connection: %w", err)
		problem.Write(w, err)
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Time{}) // an error shows at the next write
	if _, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	if rw.Reader.Size() < size {
		held, _ := rw.Reader.Peek(rw.Reader.Buffered()) // cannot fail: it is buffered
		return conn, bufio.NewReaderSize(io.MultiReader(strings.NewReader(string(held)), conn), size), nil
	}
	return conn, rw.Reader, nil
}
