package store

import (
	"net/http"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// Verdict is what becomes of a request on the state that it was judged on.
type Verdict struct {
	Effects []Op // must not be changed
	// Err refuses the request; it is a [problem.Error].
	Err error
	// Recorded tells that a record is to be appended: for the effects, or so that
	// a late copy of the request finds this answer.
	Recorded bool
	Status   int  // HTTP status of the answer that is recorded
	Missing  bool // no effect: what the request deletes is not there
	// Repeated tells that the request was answered before, by the record at
	// Position.
	Repeated bool
	Position protocol.Position
}

// JudgeOnce judges the request as Judge does unless it was answered before: then
// the verdict repeats the first answer. now is the group time of the record that
// the request would make.
func (m *Map) JudgeOnce(req *Request, now int64) Verdict {
	if req.id.IsZero() {
		effects, err := m.Judge(req)
		return Verdict{Effects: effects, Err: err, Recorded: len(effects) > 0, Missing: err == nil && len(effects) == 0}
	}
	first, found, err := m.ids.lookup(req.id, m.position.Seq)
	if err != nil {
		return Verdict{Err: err}
	}
	if found {
		return req.repeat(first)
	}
	if err := m.ids.room(req.id, now); err != nil {
		return Verdict{Err: err}
	}
	effects, err := m.Judge(req)
	v := Verdict{Effects: effects, Err: err, Recorded: true, Status: req.done}
	switch {
	case err != nil:
		v.Status = problem.CodeOf(err).Meaning().Status
	case len(effects) == 0:
		v.Status, v.Missing = req.idle, true
	}
	return v
}

// repeat gives the first answer again, if it was to this very request.
func (r *Request) repeat(first Answer) Verdict {
	if first.Hash != r.hash {
		return Verdict{Err: problem.Errorf(problem.IDReused, "the request id %s was used for another request, which record %s answered: an id is for one request and its repetitions", quote(r.id.AsKey()), first.Position)}
	}
	v := Verdict{Repeated: true, Position: first.Position}
	switch first.Status {
	case http.StatusNotFound:
		v.Missing = true
	case http.StatusPreconditionFailed:
		v.Err = again(first, problem.PreconditionFailed, "its condition did not hold")
	case http.StatusUnprocessableEntity:
		v.Err = again(first, problem.NotUpdatable, "a key in it could not be updated")
	case http.StatusInsufficientStorage:
		v.Err = again(first, problem.OutOfMemory, "the map had no room for it")
	}
	return v
}

func again(first Answer, code problem.Code, why string) error {
	return problem.Errorf(code, "the request was refused when it came first, at %s: %s. This is that answer again, and nothing was applied", first.Position, why)
}
