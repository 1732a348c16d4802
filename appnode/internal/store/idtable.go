package store

import (
	"fmt"
	"time"

	"github.com/tidwall/btree"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/requestid"
)

// How long answers are remembered, and how many. What is full takes nothing new
// until something in it is due to be forgotten: nothing is forgotten early.
const (
	// KeepFor is for how much of the group's own time the answer to a key is
	// kept after its record, and a session after its newest one.
	KeepFor = 10 * time.Minute
	// MaxSessions bounds the sessions of first hops.
	MaxSessions = 10_000
	// MaxSessionAnswers bounds the answers kept for one session.
	MaxSessionAnswers = 20_000
	// MaxKeys bounds the answers to callers' own keys.
	MaxKeys = 1_000_000
)

// sweepEvery is how many seqs lie between two looks for idle sessions.
const sweepEvery = 1024

// idLimits are how many of each are remembered.
type idLimits struct{ sessions, answers, keys int }

func expired(used, now int64) bool { return now-used > int64(KeepFor) }

// idTable is the replicated memory of which requests were answered and how, so
// that each is applied once. It is the same at every replica at the same
// position, for only records change it.
type idTable struct {
	limits idLimits
	owner  *owner
	// horizon is the highest birth of any session that was forgotten. A session
	// that is not here and was born at it or before may be one of those, so it
	// is not taken; one that was born later never was here.
	horizon  protocol.Seq
	sessions *btree.Map[string, *session] // nil: none ever
	keys     keyTable
	// unused bounds from below when the session that was idle longest was used
	// last. It saves looks through all of them, and is no part of the state.
	unused int64
}

func newIDTable() idTable {
	return idTable{limits: idLimits{MaxSessions, MaxSessionAnswers, MaxKeys}, owner: new(owner)}
}

// share returns a table of the same answers that changes independently.
func (t *idTable) share() idTable {
	c := *t
	t.owner, c.owner = new(owner), new(owner)
	if t.sessions != nil {
		c.sessions = t.sessions.Copy()
	}
	c.keys = t.keys.share()
	return c
}

func (t *idTable) session(name requestid.Session) *session {
	if t.sessions == nil {
		return nil
	}
	s, _ := t.sessions.Get(string(name[:]))
	return s
}

func (t *idTable) put(name requestid.Session, s *session) {
	if t.sessions == nil {
		t.sessions = btree.NewMap[string, *session](degree)
	}
	t.sessions.Set(string(name[:]), s)
}

func (t *idTable) sessionCount() int {
	if t.sessions == nil {
		return 0
	}
	return t.sessions.Len()
}

// lookup returns the first answer to the request with the id, if there was one.
// last is the seq of the newest record. An error says why the request is not to
// be judged: its id may have been forgotten.
func (t *idTable) lookup(id requestid.ID, last protocol.Seq) (a Answer, found bool, err error) {
	if !id.OfSession() {
		if k := t.keys.get(id.Key); k != nil {
			return k.answer, true, nil
		}
		return Answer{}, false, nil
	}
	s := t.session(id.Session)
	switch {
	case s == nil && (id.Birth <= t.horizon || id.Birth > last):
		return Answer{}, false, problem.Errorf(problem.SessionExpired, "the session of the request is not known here: it was born at %d, and whatever was born up to %d and was not used for %s is forgotten (present seq %d)", id.Birth, t.horizon, KeepFor, last)
	case s == nil:
		return Answer{}, false, nil
	case id.Serial < s.lowest:
		return Answer{}, false, problem.Errorf(problem.SessionExpired, "request %d of its session was answered, as whoever sent it said, so the answer is no longer kept: the lowest that is kept is %d", id.Serial, s.lowest)
	}
	if e := s.get(id.Serial); e != nil {
		return e.answer(), true, nil
	}
	return Answer{}, false, nil
}

// room refuses a request that was not answered before if there is no room to
// remember it, at the group time of the record that it would make.
func (t *idTable) room(id requestid.ID, now int64) error {
	full := ""
	s := t.session(id.Session)
	switch {
	case !id.OfSession():
		if t.keys.len() >= t.limits.keys && !expired(t.keys.oldest().time, now) {
			full = fmt.Sprintf("%d keys of the last %s are kept", t.limits.keys, KeepFor)
		}
	case s != nil:
		if s.count >= t.limits.answers && s.countFrom(id.Lowest) >= t.limits.answers {
			full = fmt.Sprintf("%d answers of the session are kept, from request %d on", t.limits.answers, max(s.lowest, id.Lowest))
		}
	case t.sessionCount() >= t.limits.sessions && !t.anyIdle(now):
		full = fmt.Sprintf("%d sessions were used in the last %s", t.limits.sessions, KeepFor)
	}
	if full == "" {
		return nil
	}
	err := problem.Errorf(problem.Overloaded, "the table of request ids is full: %s", full)
	err.RetryAfter = time.Second
	return err
}

// anyIdle tells whether a sweep at now would forget a session.
func (t *idTable) anyIdle(now int64) bool {
	if expired(t.unused, now) {
		t.unused = now
		t.sessions.Scan(func(_ string, s *session) bool {
			t.unused = min(t.unused, s.used)
			return true
		})
	}
	return expired(t.unused, now)
}

// check tells what makes it impossible that a primary made a record with a, if
// anything. pos is the position of the record.
func (t *idTable) check(a answered, pos protocol.Position) error {
	first, found, err := t.lookup(a.id, pos.Seq-1)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errAnswered, err)
	case found:
		return fmt.Errorf("%w: it was answered by record %s", errAnswered, first.Position)
	}
	return nil
}

// apply remembers the answer of the record at pos, which check has passed.
func (t *idTable) apply(a answered, pos protocol.Position, now int64) {
	if !a.id.OfSession() {
		t.keys.add(&keyed{key: a.id.Key, answer: Answer{a.hash, pos, a.status}, time: now})
		return
	}
	old := t.session(a.id.Session)
	var s *session
	switch {
	case old != nil:
		s = old.owned(t.owner)
	default:
		if t.sessionCount() >= t.limits.sessions {
			t.sweep(now)
		}
		s = &session{owner: t.owner, birth: a.id.Birth}
	}
	if s != old {
		t.put(a.id.Session, s)
	}
	if a.id.Lowest > s.lowest {
		s.lowest = a.id.Lowest
		s.drop(s.lowest)
	}
	s.used = now
	s.add(serialAnswer{a.id.Serial, a.hash, pos, uint16(a.status)})
}

// expire forgets what is due at the record with seq, whose group time is now. It
// comes after the record's own answer was added: a session that was idle until
// now is in use.
func (t *idTable) expire(seq protocol.Seq, now int64) {
	t.keys.expire(now)
	if seq%sweepEvery == 0 && t.sessionCount() > 0 {
		t.sweep(now)
	}
}

// sweep forgets the idle sessions. None of them can come back: each was born
// before the record that ends it, and from now on that is too early.
func (t *idTable) sweep(now int64) {
	var idle []string
	t.unused = now
	t.sessions.Scan(func(name string, s *session) bool {
		if expired(s.used, now) {
			idle = append(idle, name)
			t.horizon = max(t.horizon, s.birth)
		} else {
			t.unused = min(t.unused, s.used)
		}
		return true
	})
	for _, name := range idle {
		t.sessions.Delete(name)
	}
}
