// Package rawhttp is a small HTTP/1.1 client on one kept connection. A load
// generator that shares a machine with the servers it loads must be cheaper
// than they are; net/http's client is not.
package rawhttp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

const (
	maxHeaders = 100
	maxBody    = 64 << 20
	nodeHeader = "understudy-node"
)

// Client is one connection. It is not safe for concurrent use. After an error
// of Do, or an answer that ends the connection, it is of no further use.
type Client struct {
	conn    net.Conn
	r       *bufio.Reader
	host    string
	request []byte
	body    []byte
	etag    []byte
	node    string // who answered; made anew only where it changes
}

// Dial connects to address, host:port.
func Dial(ctx context.Context, address string) (*Client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return newClient(conn, address), nil
}

func newClient(conn net.Conn, host string) *Client {
	return &Client{conn: conn, r: bufio.NewReaderSize(conn, 16<<10), host: host}
}

// Close closes the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Request is one call. Path is escaped; Header holds whole lines, each ending
// in CRLF, or nothing.
type Request struct {
	Method string
	Path   string
	Header string
	Body   []byte
}

// Response is an answer. Node is who gave it, by the header Understudy-Node. ETag
// and Body are valid until the next call of Do.
type Response struct {
	Status int
	Node   string
	ETag   []byte
	Body   []byte
	Last   bool // the server closes the connection after this answer
}

// Do sends the request and reads the answer, both within the timeout. An error
// leaves open whether the server has carried the request out.
func (c *Client) Do(req Request, timeout time.Duration) (Response, error) {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return Response{}, err
	}
	if _, err := c.conn.Write(c.encode(req)); err != nil {
		return Response{}, err
	}
	return c.read(req.Method == "HEAD")
}

func (c *Client) encode(req Request) []byte {
	b := c.request[:0]
	b = append(append(append(b, req.Method...), ' '), req.Path...)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), c.host...)
	b = append(append(b, "\r\n"...), req.Header...)
	if len(req.Body) > 0 || req.Method == "PUT" {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(req.Body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(append(b, "\r\n"...), req.Body...)
	c.request = b
	return b
}

var errMalformed = errors.New("the answer is not HTTP/1.1")

func (c *Client) read(head bool) (res Response, err error) {
	if res.Status, err = c.statusLine(); err != nil {
		return res, err
	}
	f, err := c.headers()
	if err != nil {
		return res, err
	}
	res.Last = f.last
	res.ETag, res.Node = c.etag, c.node
	switch {
	case head || res.Status == 204 || res.Status == 304:
		return res, nil
	case f.chunked:
		c.body, err = c.chunks(c.body[:0])
	case f.length >= 0:
		c.body, err = c.fill(c.body[:0], f.length)
	default:
		return res, fmt.Errorf("%w: it has no length", errMalformed)
	}
	res.Body = c.body
	return res, err
}

func (c *Client) statusLine() (int, error) {
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200") || string(line[:9]) != "HTTP/1.1 " {
		return 0, errMalformed
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil || status < 200 {
		return 0, errMalformed // nothing here asks for an interim answer
	}
	return status, nil
}

// framing is what the headers say of the body.
type framing struct {
	length  int // -1: not told
	chunked bool
	last    bool
}

func (c *Client) headers() (framing, error) {
	f := framing{length: -1}
	c.etag = c.etag[:0]
	named := false
	for range maxHeaders {
		line, err := c.line()
		if err != nil || len(line) == 0 {
			if !named {
				c.node = ""
			}
			return f, err
		}
		if v, ok := value(line, nodeHeader); ok {
			if named = true; string(v) != c.node {
				c.node = string(v)
			}
			continue
		}
		if err := c.header(&f, line); err != nil {
			return f, err
		}
	}
	return f, fmt.Errorf("%w: it has more than %d headers", errMalformed, maxHeaders)
}

func (c *Client) header(f *framing, line []byte) (err error) {
	if v, ok := value(line, "content-length"); ok {
		f.length, err = size(string(v), 10)
	} else if v, ok := value(line, "transfer-encoding"); ok {
		f.chunked = string(v) == "chunked"
	} else if v, ok := value(line, "connection"); ok {
		f.last = string(v) == "close"
	} else if v, ok := value(line, "etag"); ok {
		c.etag = append(c.etag, v...)
	}
	return err
}

// value returns the value of a header line of the given lower-case name.
func value(line []byte, name string) ([]byte, bool) {
	if len(line) <= len(name) || line[len(name)] != ':' {
		return nil, false
	}
	for i := range len(name) {
		if line[i]|0x20 != name[i] && line[i] != name[i] {
			return nil, false
		}
	}
	v := line[len(name)+1:]
	for len(v) > 0 && v[0] == ' ' {
		v = v[1:]
	}
	return v, true
}

// size reads a length, which is bounded.
func size(s string, base int) (int, error) {
	n, err := strconv.ParseUint(s, base, 31)
	if err != nil || n > maxBody {
		return 0, fmt.Errorf("%w: its length is %q", errMalformed, s)
	}
	return int(n), nil
}

// line reads up to CRLF or LF and leaves those out.
func (c *Client) line() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("%w: a line is too long", errMalformed)
		}
		return nil, err
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, nil
}

func (c *Client) chunks(body []byte) ([]byte, error) {
	for {
		line, err := c.line()
		if err != nil {
			return body, err
		}
		n, err := size(string(line), 16)
		if err != nil || len(body)+n > maxBody {
			return body, errMalformed
		}
		if n > 0 {
			if body, err = c.fill(body, n); err != nil {
				return body, err
			}
		}
		end, err := c.line() // after a chunk, and after the last: no trailers
		switch {
		case err != nil:
			return body, err
		case len(end) > 0:
			return body, errMalformed
		case n == 0:
			return body, nil
		}
	}
}

// fill appends n bytes to body. It grows as they arrive: a length is only a
// claim.
func (c *Client) fill(body []byte, n int) ([]byte, error) {
	const step = 1 << 20
	for n > 0 {
		part := min(n, step)
		at := len(body)
		if cap(body)-at < part {
			body = append(body, make([]byte, part)...)
		} else {
			body = body[:at+part]
		}
		if _, err := io.ReadFull(c.r, body[at:]); err != nil {
			return body[:at], err
		}
		n -= part
	}
	return body, nil
}
