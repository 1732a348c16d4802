package pulse

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"understudy.example/pkg/frame"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// Sender is a node's end of the connection to one monitor. It is not safe for
// concurrent use.
type Sender struct {
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Monitor string        // host:port
	Timeout time.Duration // of a heartbeat and its answer, with the way to the monitor

	conn    net.Conn // nil: none
	unbind  func() bool
	in      *bufio.Reader
	word    *wire.Assignment // the last on this connection
	out     []byte
	payload []byte
}

// Send sends a heartbeat, a [wire.Heartbeat] as JSON, and returns the registry's
// word, which is shared with the answers that follow and must not be changed. An
// error of the monitor is a *problem.Error. After any other the connection is given
// up. One that the monitor has closed meanwhile is replaced at once. The connection
// ends with the context of the call that made it.
func (s *Sender) Send(ctx context.Context, heartbeat []byte) (*wire.Assignment, error) {
	deadline := time.Now().Add(s.Timeout)
	reused := s.conn != nil
	word, err := s.attempt(ctx, heartbeat, deadline)
	if reused && s.conn == nil && !errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
		word, err = s.attempt(ctx, heartbeat, deadline)
	}
	return word, err
}

// Close closes the connection, if there is one.
func (s *Sender) Close() {
	if s.conn != nil {
		s.unbind()
		_ = s.conn.Close() // nothing more is expected of it
		s.conn, s.in, s.word = nil, nil, nil
	}
}

func (s *Sender) attempt(ctx context.Context, heartbeat []byte, deadline time.Time) (*wire.Assignment, error) {
	if s.conn == nil {
		if err := s.connect(ctx, deadline); err != nil {
			return nil, err
		}
	}
	word, err := s.exchange(heartbeat, deadline)
	if err != nil && problem.CodeOf(err) == "" {
		s.Close()
	}
	return word, err
}

func (s *Sender) connect(ctx context.Context, deadline time.Time) error {
	bounded, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	conn, in, err := frame.Dial(bounded, s.Dial, s.Monitor, wire.PathHeartbeats, protocol)
	if err != nil {
		return err
	}
	s.conn, s.in = conn, in
	s.unbind = context.AfterFunc(ctx, func() { _ = conn.Close() }) // whoever waits sees it
	return nil
}

func (s *Sender) exchange(heartbeat []byte, deadline time.Time) (*wire.Assignment, error) {
	if err := s.conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	s.out = frame.Append(s.out[:0], frameHeartbeat, 0, heartbeat)
	if _, err := s.conn.Write(s.out); err != nil {
		return nil, err
	}
	h, payload, err := frame.ReadUpTo(s.in, s.payload, maxWord)
	if err != nil {
		return nil, err
	}
	s.payload = payload
	return s.take(h.Type, payload)
}

func (s *Sender) take(t frame.Type, payload []byte) (*wire.Assignment, error) {
	switch t {
	case frameWord:
		word := new(wire.Assignment)
		if err := json.Unmarshal(payload, word); err != nil {
			return nil, fmt.Errorf("the word of %s: %w", s.Monitor, err)
		}
		s.word = word
		return word, nil
	case frameSame:
		if s.word != nil {
			return s.word, nil
		}
	case frameRefused:
		var body problem.Body
		if err := json.Unmarshal(payload, &body); err == nil && body.Code != "" {
			return nil, &problem.Error{Code: body.Code, Detail: body.Detail}
		}
	}
	return nil, fmt.Errorf("%s answers a heartbeat with a frame of type %d that has no meaning here", s.Monitor, t)
}
