package pulse

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"understudy.example/pkg/frame"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// Taker is a monitor's end of the connections of all nodes. Its zero value is ready;
// its methods may be called at the same time.
type Taker struct {
	// last is the word that was encoded last, which nearly always is the one that
	// the next node is to be told.
	last atomic.Pointer[encoded]
}

type encoded struct {
	word *wire.Assignment
	json []byte
}

// Serve upgrades a request, and has take judge every heartbeat that comes on the
// connection until it closes, one after the other. An error with a code is answered;
// any other ends the connection. The word that take returns must not be changed
// afterwards. Serve returns false where the connection was not upgraded: the caller
// has been answered then.
func (t *Taker) Serve(w http.ResponseWriter, r *http.Request, take func(heartbeat []byte) (*wire.Assignment, error)) bool {
	conn, in, err := frame.AcceptSized(w, r, protocol, buffer)
	if err != nil {
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(r.Context(), func() { _ = conn.Close() })() // whoever serves the port has ended
	var told *wire.Assignment
	var buf, out []byte
	for {
		h, payload, err := frame.ReadUpTo(in, buf, maxHeartbeat)
		if err != nil || h.Type != frameHeartbeat {
			return true
		}
		buf = payload
		word, err := take(payload)
		switch {
		case err == nil && word == told:
			out = frame.Append(out[:0], frameSame, 0, nil)
		case err == nil:
			told = word
			out, err = t.appendWord(out[:0], word)
		case problem.CodeOf(err) != "":
			out, err = appendRefusal(out[:0], err)
		}
		if err != nil || send(conn, out) != nil {
			return true
		}
	}
}

func (t *Taker) appendWord(dst []byte, word *wire.Assignment) ([]byte, error) {
	e := t.last.Load()
	if e == nil || e.word != word {
		text, err := json.Marshal(word)
		if err != nil {
			return nil, fmt.Errorf("encode the registry's word: %w", err)
		}
		e = &encoded{word, text}
		t.last.Store(e)
	}
	return frame.Append(dst, frameWord, 0, e.json), nil
}

func appendRefusal(dst []byte, refusal error) ([]byte, error) {
	text, err := json.Marshal(problem.BodyOf(refusal))
	if err != nil {
		return nil, fmt.Errorf("encode a refusal: %w", err)
	}
	return frame.Append(dst, frameRefused, 0, text), nil
}

func send(conn net.Conn, b []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	_, err := conn.Write(b)
	return err
}
