package rival

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

// A small client of Redis's protocol, RESP 2 (redis.io/docs/reference/protocol-spec).

const (
	maxBulk  = 64 << 20
	maxArray = 1 << 20
	maxDepth = 8
)

// refusal is an error that the server answered.
type refusal string

func (r refusal) Error() string { return "the server answered: " + string(r) }

var errProtocol = errors.New("the answer is not RESP")

// reply is an answer: a text, a number or an array, or nothing.
type reply struct {
	text   string
	number int64
	array  []reply
	null   bool
}

// respConn is one connection. After an error that is no refusal it is of no
// further use.
type respConn struct {
	conn net.Conn
	r    *bufio.Reader
}

func dialResp(ctx context.Context, address string) (*respConn, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &respConn{conn, bufio.NewReader(conn)}, nil
}

func (c *respConn) close() { _ = c.conn.Close() }

// do sends a command and reads its answer.
func (c *respConn) do(args ...string) (reply, error) {
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return reply{}, err
	}
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := c.conn.Write(b); err != nil {
		return reply{}, err
	}
	return readReply(c.r, 0)
}

// readReply reads one answer. What the server says of lengths is bounded.
func readReply(r *bufio.Reader, depth int) (reply, error) {
	line, err := readLine(r)
	if err != nil {
		return reply{}, err
	}
	if len(line) == 0 || depth > maxDepth {
		return reply{}, errProtocol
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+':
		return reply{text: rest}, nil
	case '-':
		return reply{}, refusal(rest)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	switch {
	case err != nil:
		return reply{}, errProtocol
	case kind == ':':
		return reply{number: n}, nil
	case n == -1:
		return reply{null: true}, nil
	case kind == '$' && n >= 0 && n <= maxBulk:
		return readBulk(r, int(n))
	case kind == '*' && n >= 0 && n <= maxArray:
		return readArray(r, int(n), depth)
	}
	return reply{}, errProtocol
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errProtocol
	case err != nil:
		return "", err
	case len(line) < 2 || line[len(line)-2] != '\r':
		return "", errProtocol
	}
	return string(line[:len(line)-2]), nil
}

func readBulk(r *bufio.Reader, n int) (reply, error) {
	// Read as it comes: a length is only a claim.
	b, err := io.ReadAll(io.LimitReader(r, int64(n)+2))
	switch {
	case err != nil:
		return reply{}, err
	case len(b) != n+2:
		return reply{}, io.ErrUnexpectedEOF
	case b[n] != '\r' || b[n+1] != '\n':
		return reply{}, errProtocol
	}
	return reply{text: string(b[:n])}, nil
}

func readArray(r *bufio.Reader, n, depth int) (reply, error) {
	a := reply{array: []reply{}}
	for range n {
		one, err := readReply(r, depth+1)
		if err != nil {
			return reply{}, err
		}
		a.array = append(a.array, one)
	}
	return a, nil
}
