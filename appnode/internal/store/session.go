package store

import (
	"slices"
	"sort"

	"understudy.example/pkg/protocol"
)

// owner marks what one map may change in place: nobody else reads it. A map
// takes another owner whenever it shares what it has.
type owner struct{ _ byte }

// session is what the group remembers of one first hop's writes: the answers
// from its lowest unanswered serial on.
type session struct {
	owner  *owner
	birth  protocol.Seq // a seq that was committed before the session began
	lowest uint64       // below, nothing is remembered and nothing is taken
	used   int64        // group time of its newest record
	count  int
	runs   []*run // by serial; none is empty
}

// run is a stretch of the answers of a session, by serial. What is added copies
// no more than the run that it belongs to.
type run struct {
	owner   *owner
	answers []serialAnswer
}

// runLen is the most answers of a run.
const runLen = 64

type serialAnswer struct {
	serial uint64
	hash   uint64
	pos    protocol.Position
	status uint16
}

func (a *serialAnswer) answer() Answer {
	return Answer{Hash: a.hash, Position: a.pos, Status: int(a.status)}
}

// owned returns the session, or a copy of it, that o may change.
func (s *session) owned(o *owner) *session {
	if s.owner == o {
		return s
	}
	c := *s
	c.owner = o
	c.runs = append(make([]*run, 0, len(s.runs)+2), s.runs...)
	return &c
}

// own makes run i changeable and returns it. Its answers are still where others
// read them, without room behind them: to insert one makes a copy. The session is
// owned.
func (s *session) own(i int) *run {
	r := s.runs[i]
	if r.owner != s.owner {
		r = &run{s.owner, slices.Clip(r.answers)}
		s.runs[i] = r
	}
	return r
}

// get returns the answer to serial, nil if there is none.
func (s *session) get(serial uint64) *serialAnswer {
	if len(s.runs) == 0 {
		return nil
	}
	r := s.runs[s.runOf(serial)]
	if i, ok := r.find(serial); ok {
		return &r.answers[i]
	}
	return nil
}

// runOf returns the index of the run that serial belongs to.
func (s *session) runOf(serial uint64) int {
	if last := len(s.runs) - 1; s.runs[last].answers[0].serial <= serial {
		return last
	}
	i := sort.Search(len(s.runs), func(i int) bool { return s.runs[i].answers[0].serial > serial })
	return max(i-1, 0)
}

func (r *run) find(serial uint64) (int, bool) {
	return slices.BinarySearchFunc(r.answers, serial, func(a serialAnswer, serial uint64) int {
		switch {
		case a.serial < serial:
			return -1
		case a.serial > serial:
			return 1
		}
		return 0
	})
}

// add adds an answer to a serial that has none. The session is owned.
func (s *session) add(a serialAnswer) {
	s.count++
	if len(s.runs) == 0 {
		s.runs = append(s.runs, newRun(s.owner, a))
		return
	}
	i := s.runOf(a.serial)
	r := s.own(i)
	at, _ := r.find(a.serial)
	if len(r.answers) < runLen {
		r.answers = slices.Insert(r.answers, at, a)
		return
	}
	if at == runLen {
		s.runs = slices.Insert(s.runs, i+1, newRun(s.owner, a))
		return
	}
	half := newRun(s.owner, r.answers[runLen/2:]...)
	r.answers = slices.Clip(r.answers[:runLen/2])
	s.runs = slices.Insert(s.runs, i+1, half)
	if at > runLen/2 {
		r, at = half, at-runLen/2
	}
	r.answers = slices.Insert(r.answers, at, a)
}

func newRun(o *owner, answers ...serialAnswer) *run {
	return &run{o, append(make([]serialAnswer, 0, 16), answers...)}
}

// drop forgets the answers below lowest. The session is owned.
func (s *session) drop(lowest uint64) {
	for len(s.runs) > 0 {
		r := s.runs[0]
		if r.answers[0].serial >= lowest {
			return
		}
		if r.answers[len(r.answers)-1].serial < lowest {
			s.count -= len(r.answers)
			s.runs[0] = nil
			s.runs = s.runs[1:]
			continue
		}
		n, _ := r.find(lowest)
		r = s.own(0)
		r.answers = r.answers[n:]
		s.count -= n
		return
	}
}

// countFrom returns how many answers are left once those below lowest are
// forgotten.
func (s *session) countFrom(lowest uint64) int {
	n := s.count
	for _, r := range s.runs {
		if r.answers[len(r.answers)-1].serial >= lowest {
			below, _ := r.find(lowest)
			return n - below
		}
		n -= len(r.answers)
	}
	return n
}
