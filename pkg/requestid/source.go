package requestid

import (
	"crypto/rand"
	"sync"

	"understudy.example/pkg/protocol"
)

// maxSpan is how far a source lets the serials of one session run ahead of the
// lowest that is unanswered. It is well below the number of answers that the
// group keeps for a session, so that one request that stays unanswered does not
// get the others refused.
const maxSpan = 8192

// Source makes the ids of a first hop. Its methods, and those of its tickets,
// may be called at the same time.
type Source struct {
	mu      sync.Mutex // guards the fields below, and all sessions and tickets
	saw     protocol.Seq
	current *session // of the next ticket; nil: a new one
}

// session is a run of serials. It lives as long as one of its tickets, or as
// the source makes tickets of it.
type session struct {
	id     Session
	birth  protocol.Seq
	lowest uint64 // the lowest serial that is unanswered, or the next one
	// answered tells of each serial from lowest on whether it was.
	answered []bool
}

// NewSource makes a source whose first session has a random name.
func NewSource() *Source { return &Source{} }

// Saw notes the position of the newest answer, from which later sessions take
// their birth. It counts also if it is lower than one before: after an override
// positions go back, and a birth may be any position that was committed.
func (s *Source) Saw(seq protocol.Seq) {
	s.mu.Lock()
	s.saw = seq
	s.mu.Unlock()
}

// Next returns the ticket of a write.
func (s *Source) Next() *Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next()
}

func (s *Source) next() *Ticket {
	if s.current == nil || len(s.current.answered) >= maxSpan {
		s.current = newSession(s.saw)
	}
	c := s.current
	c.answered = append(c.answered, false)
	return &Ticket{source: s, session: c, serial: c.lowest + uint64(len(c.answered)) - 1}
}

func newSession(birth protocol.Seq) *session {
	c := &session{birth: birth, lowest: 1}
	_, _ = rand.Read(c.id[:]) // it does not fail: without randomness it ends the process
	return c
}

// Ticket is the id of one write, from its first copy to its answer. Exactly one
// of Done, Abandon and Renew ends it; what comes after is ignored.
type Ticket struct {
	source  *Source
	session *session
	serial  uint64
	ended   bool
}

// ID returns the id to send a copy of the write with now.
func (t *Ticket) ID() ID {
	t.source.mu.Lock()
	defer t.source.mu.Unlock()
	return ID{Session: t.session.id, Birth: t.session.birth, Serial: t.serial, Lowest: t.session.lowest}
}

// Key returns the Idempotency-Key by which the write can be asked for again.
func (t *Ticket) Key() string {
	return ID{Session: t.session.id, Birth: t.session.birth, Serial: t.serial}.AsKey()
}

// Done says that the write was answered: no copy of it will be sent any more, and
// one that is still on its way must not count.
func (t *Ticket) Done() {
	t.source.mu.Lock()
	defer t.source.mu.Unlock()
	t.done()
}

func (t *Ticket) done() {
	if t.ended {
		return
	}
	t.ended = true
	c := t.session
	c.answered[t.serial-c.lowest] = true
	n := 0
	for n < len(c.answered) && c.answered[n] {
		n++
	}
	c.lowest, c.answered = c.lowest+uint64(n), c.answered[n:]
}

// Abandon says that the outcome is unknown and that the caller was told the key.
// The write stays unanswered for ever, so that the group goes on remembering it;
// later writes get another session, whose memory it does not burden.
func (t *Ticket) Abandon() {
	t.source.mu.Lock()
	defer t.source.mu.Unlock()
	if t.ended {
		return
	}
	t.ended = true
	t.leave()
}

// Renew returns a ticket of another session, for a write that the group refused
// because it has forgotten this one. Saw is called first, with the position of
// the refusal. The caller is sure that no copy of the write was or will be
// applied under the old id.
func (t *Ticket) Renew() *Ticket {
	t.source.mu.Lock()
	defer t.source.mu.Unlock()
	t.leave()
	t.done()
	return t.source.next()
}

// leave makes later tickets be of another session than this one's.
func (t *Ticket) leave() {
	if t.source.current == t.session {
		t.source.current = nil
	}
}
