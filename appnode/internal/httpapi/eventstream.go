package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/sse"
	"understudy.example/pkg/wire"
)

// Limits of a stream of events.
const (
	// idEvery is how often a reader whose keys are quiet is told how far it has
	// seen, so that it need not begin anew when it connects again.
	idEvery = time.Second
	// commentEvery is how long a stream is silent at most.
	commentEvery = 10 * time.Second
	// eventPiece is about how many bytes are sent at a time.
	eventPiece = 64 << 10
	// pieceTimeout bounds the sending of them.
	pieceTimeout = 10 * time.Second
	// maxBehind is how many bytes of events may be committed while those before
	// them are being sent.
	maxBehind = 1 << 20
	// lastWordTimeout bounds the sending of the reason why a stream ends.
	lastWordTimeout = 100 * time.Millisecond
)

// eventStream sends a watch to one reader. What it has not sent yet stays in the
// replica: a slow reader costs one piece of memory, and nobody else's time.
type eventStream struct {
	w      http.ResponseWriter
	to     *http.ResponseController
	source Watcher

	at   protocol.Position // everything up to here was sent, or is in buf
	told protocol.Position // the newest id in the stream or in buf
	sent time.Time         // when anything was sent last
	buf  []byte

	// A reader is judged from when it has caught up once. It is behind by what
	// was committed while it took what had been committed before, up to until:
	// only that is counted in behind.
	caughtUp bool
	until    protocol.Position
	counting bool
	behind   int
}

func newEventStream(w http.ResponseWriter, source Watcher, at protocol.Position) *eventStream {
	return &eventStream{
		w: w, to: http.NewResponseController(w), source: source, at: at, told: at,
		buf: []byte("retry: 100\n\n"), // ms that a browser waits before it connects again
	}
}

// errReaderGone tells that the reader does not take what is sent.
var errReaderGone = errors.New("the reader is gone, or reads nothing")

// snapshot sends the keys of view that begin with prefix, in pages. Only the last
// has an id: a reader that saw less begins anew.
func (s *eventStream) snapshot(view *store.View, prefix string) error {
	page := wire.WatchSnapshot{First: true, Items: []wire.Item{}}
	size := 0
	var err error
	view.Ascend(prefix, "", func(key string, e *store.Entry) bool {
		if size >= eventPiece {
			err = s.sendPage("", page)
			page, size = wire.WatchSnapshot{Items: []wire.Item{}}, 0
		}
		page.Items = append(page.Items, item(key, e))
		size += len(key) + len(e.Value)
		return err == nil
	})
	if err != nil {
		return err
	}
	page.Last = true
	return s.sendPage(view.Position().String(), page)
}

func (s *eventStream) sendPage(id string, page wire.WatchSnapshot) error {
	if err := s.add(id, wire.EventSnapshot, page); err != nil {
		return err
	}
	return s.flush(pieceTimeout)
}

// follow sends what is committed, until ctx ends or the reader is lost.
func (s *eventStream) follow(ctx context.Context) error {
	for {
		if err := s.flush(pieceTimeout); err != nil {
			return err
		}
		changes, upTo, more, err := s.source.Next(ctx, idEvery)
		if err != nil {
			return err
		}
		if !more {
			s.caughtUp = true
		}
		if err := s.addAll(changes, upTo); err != nil {
			return err
		}
		s.keepAlive(time.Now())
	}
}

// addAll adds batches, and sends them in pieces.
func (s *eventStream) addAll(changes []store.Change, upTo protocol.Position) error {
	if s.at.Seq >= s.until.Seq {
		s.until, s.counting = s.source.Newest(), false // woken: nothing was owed
	}
	for _, c := range changes {
		if s.counting && c.Position.Seq <= s.until.Seq && s.behind > maxBehind {
			return problem.Errorf(problem.Overloaded, "the reader is more than %d bytes behind: connect again with the last id", maxBehind)
		}
		before := len(s.buf)
		if err := s.add(c.Position.String(), wire.EventBatch, batchOf(c)); err != nil {
			return err
		}
		s.at, s.told = c.Position, c.Position
		s.behind += len(s.buf) - before
		if len(s.buf) >= eventPiece {
			if err := s.flush(pieceTimeout); err != nil {
				return err
			}
		}
	}
	s.at = upTo
	return nil
}

// keepAlive adds the position of a reader that has not had an event for a while,
// or a comment if there is nothing to say at all.
func (s *eventStream) keepAlive(now time.Time) {
	if len(s.buf) > 0 {
		return
	}
	switch quiet := now.Sub(s.sent); {
	case s.at != s.told && quiet >= idEvery:
		s.buf = sse.Append(s.buf, s.at.String(), "", nil)
		s.told = s.at
	case quiet >= commentEvery:
		s.buf = sse.AppendComment(s.buf, "nothing new")
	}
}

// add appends an event to what is to be sent.
func (s *eventStream) add(id, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode an event: %w", err)
	}
	s.buf = sse.Append(s.buf, id, name, text)
	return nil
}

// flush sends what has been added.
func (s *eventStream) flush(limit time.Duration) error {
	if len(s.buf) == 0 {
		return nil
	}
	if err := s.to.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return fmt.Errorf("bound the sending of events: %w", err)
	}
	_, err := s.w.Write(s.buf)
	if err == nil {
		err = s.to.Flush()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errReaderGone, err)
	}
	s.sent, s.buf = time.Now(), s.buf[:0]
	if cap(s.buf) > 2*eventPiece {
		s.buf = nil // a rare large event does not stay in memory
	}
	if s.caughtUp && s.at.Seq >= s.until.Seq {
		s.until, s.behind = s.source.Newest(), 0
		s.counting = s.until.Seq > s.at.Seq
	}
	return nil
}

// sendError sends the reason why the stream ends, if the reader takes it.
func (s *eventStream) sendError(err error) {
	s.buf = nil
	if s.add("", wire.EventError, problem.BodyOf(err)) == nil {
		_ = s.flush(lastWordTimeout) // the reader may be gone: there is nobody left to tell
	}
}

// batchOf returns a change as clients see it.
func batchOf(c store.Change) wire.WatchBatch {
	out := wire.WatchBatch{Position: c.Position, Changes: make([]wire.KeyChange, 0, len(c.Ops))}
	for _, op := range c.Ops {
		k := wire.KeyChange{Key: op.Key, Deleted: op.Delete}
		switch {
		case op.Delete:
		case utf8.Valid(op.Value):
			k.Value = new(string(op.Value))
		default:
			k.Base64 = new(base64.StdEncoding.EncodeToString(op.Value))
		}
		out.Changes = append(out.Changes, k)
	}
	return out
}
