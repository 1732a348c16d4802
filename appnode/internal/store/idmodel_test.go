package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/requestid"
)

// idModel is the table of request ids, told as simply as can be.
type idModel struct {
	horizon  protocol.Seq
	sessions map[requestid.Session]*sessionModel
	keys     []keyModel // by age
}

type sessionModel struct {
	birth   protocol.Seq
	lowest  uint64
	used    int64
	answers map[uint64]Answer
}

type keyModel struct {
	key    string
	answer Answer
	time   int64
}

func (m *idModel) find(id requestid.ID) (Answer, bool) {
	if s := m.sessions[id.Session]; s != nil {
		a, ok := s.answers[id.Serial]
		return a, ok
	}
	i := slices.IndexFunc(m.keys, func(k keyModel) bool { return k.key == id.Key })
	if id.OfSession() || i < 0 {
		return Answer{}, false
	}
	return m.keys[i].answer, true
}

func (m *idModel) forgotten(id requestid.ID, last protocol.Seq) bool {
	s := m.sessions[id.Session]
	switch {
	case !id.OfSession():
		return false
	case s != nil:
		return id.Serial < s.lowest
	}
	return id.Birth <= m.horizon || id.Birth > last
}

func (m *idModel) full(id requestid.ID, now int64, l idLimits) bool {
	s := m.sessions[id.Session]
	switch {
	case !id.OfSession():
		return len(m.keys) >= l.keys && !expired(m.keys[0].time, now)
	case s != nil:
		n := 0
		for serial := range s.answers {
			if serial >= id.Lowest {
				n++
			}
		}
		return n >= l.answers
	}
	idle := slices.ContainsFunc(m.names(), func(name requestid.Session) bool { return expired(m.sessions[name].used, now) })
	return len(m.sessions) >= l.sessions && !idle
}

func (m *idModel) names() (out []requestid.Session) {
	for name := range m.sessions {
		out = append(out, name)
	}
	return out
}

func (m *idModel) add(id requestid.ID, a Answer, now int64, l idLimits) {
	if !id.OfSession() {
		m.keys = append(m.keys, keyModel{id.Key, a, now})
		return
	}
	s := m.sessions[id.Session]
	if s == nil {
		if len(m.sessions) >= l.sessions {
			m.sweep(now)
		}
		s = &sessionModel{birth: id.Birth, answers: map[uint64]Answer{}}
		m.sessions[id.Session] = s
	}
	s.used, s.lowest = now, max(s.lowest, id.Lowest)
	s.answers[id.Serial] = a
	for serial := range s.answers {
		if serial < s.lowest {
			delete(s.answers, serial)
		}
	}
}

func (m *idModel) sweep(now int64) {
	for name, s := range m.sessions {
		if expired(s.used, now) {
			m.horizon = max(m.horizon, s.birth)
			delete(m.sessions, name)
		}
	}
}

// expire follows each record.
func (m *idModel) expire(seq protocol.Seq, now int64) {
	for n := 0; n < dropsPerRecord && len(m.keys) > 0 && expired(m.keys[0].time, now); n++ {
		m.keys = m.keys[1:]
	}
	if seq%sweepEvery == 0 {
		m.sweep(now)
	}
}

// idsOf returns what a table holds, as a model.
func idsOf(t *idTable) *idModel {
	m := &idModel{horizon: t.horizon, sessions: map[requestid.Session]*sessionModel{}}
	if t.sessions != nil {
		t.sessions.Scan(func(name string, s *session) bool {
			c := &sessionModel{s.birth, s.lowest, s.used, map[uint64]Answer{}}
			for _, r := range s.runs {
				for _, a := range r.answers {
					c.answers[a.serial] = a.answer()
				}
			}
			if len(c.answers) != s.count {
				panic(fmt.Sprintf("%d answers are counted, %d are there", s.count, len(c.answers)))
			}
			m.sessions[requestid.Session([]byte(name))] = c
			return true
		})
	}
	if t.keys.bySeq != nil {
		t.keys.bySeq.Scan(func(_ uint64, k *keyed) bool {
			m.keys = append(m.keys, keyModel{k.key, k.answer, k.time})
			return true
		})
	}
	return m
}

// idWorld drives a map and the model with the same requests.
type idWorld struct {
	t      *testing.T
	rng    *rand.Rand
	m      *Map
	model  *idModel
	limits idLimits
	now    int64
	busy   bool           // few sessions, which grow large
	names  []requestid.ID // sessions that first hops use
}

// TestRequestIDsAgainstAModel checks every verdict and the whole table, through
// long pauses, full tables, clones and restarts from snapshots.
func TestRequestIDsAgainstAModel(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &idWorld{
				t: t, rng: rand.New(rand.NewPCG(seed, 7)), m: NewMap(), now: 1,
				model: &idModel{sessions: map[requestid.Session]*sessionModel{}}, limits: idLimits{6, 150, 60}, busy: seed%3 == 0,
			}
			w.m.ids.limits = w.limits
			apply(t, w.m, set("there", "1"))
			w.model.expire(1, w.m.time)
			for i := range 3000 {
				w.step()
				if i%97 == 0 {
					w.same(&w.m.ids)
					w.restart()
				}
			}
			w.same(&w.m.ids)
		})
	}
}

func (w *idWorld) same(t *idTable) {
	w.t.Helper()
	got := idsOf(t)
	require.Equal(w.t, w.model.horizon, got.horizon)
	require.Equal(w.t, w.model.sessions, got.sessions)
	require.Len(w.t, got.keys, len(w.model.keys))
	for i := range got.keys {
		require.Equal(w.t, w.model.keys[i], got.keys[i])
	}
}

// restart goes on with a copy of the state, made in one of the ways in which
// states are copied, while others go on with the old one.
func (w *idWorld) restart() {
	old := w.m
	switch w.rng.IntN(3) {
	case 0:
		var text bytes.Buffer
		require.NoError(w.t, w.m.View().EncodeTo(&text))
		var err error
		w.m, err = DecodeMap(&text)
		require.NoError(w.t, err)
		w.m.ids.limits = w.limits
	case 1:
		w.m = w.m.Clone()
	case 2:
		view := w.m.View()
		defer func() { w.same(&view.ids) }() // a view never changes
		old = w.m.Clone()
	}
	for i := range 30 { // of no concern to w.m
		req := w.request(requestid.ID{Session: requestid.Session{99}, Birth: old.position.Seq, Serial: uint64(i + 1)})
		pos := at(1, old.position.Seq+1)
		require.NoError(w.t, old.ApplyBatch(pos, AppendAnswered(nil, req, 200), AppendBatch(nil, w.now, nil)))
	}
	w.same(&w.m.ids)
}

func (w *idWorld) step() {
	switch n := w.rng.IntN(100); {
	case w.busy:
		w.now++
	case n < 2:
		w.now += int64(KeepFor) / int64(1+w.rng.IntN(3))
	case n < 50:
		w.now += int64(w.rng.IntN(int(KeepFor) / 200))
	}
	var id requestid.ID
	switch n := w.rng.IntN(10); {
	case n < 6:
		id = w.sessionID()
	case n < 9:
		id.Key = fmt.Sprintf("key-%d", w.rng.IntN(120))
	}
	w.send(w.request(id))
}

// sessionID is of one of a few sessions, at times of a new one.
func (w *idWorld) sessionID() requestid.ID {
	if len(w.names) < 3 || !w.busy && w.rng.IntN(60) == 0 {
		name := requestid.ID{Session: requestid.Session{1 + byte(w.rng.IntN(98)), byte(len(w.names))}}
		// At times it is born in the future, or long ago.
		name.Birth = protocol.Seq(w.rng.IntN(int(w.m.position.Seq) + 3))
		if w.rng.IntN(2) == 0 {
			name.Birth = w.m.position.Seq
		}
		w.names = append(w.names, name)
	}
	i := len(w.names) - 1 - min(w.rng.IntN(8), w.rng.IntN(len(w.names)))
	id := w.names[max(i, 0)]
	lowest := uint64(1)
	if s := w.model.sessions[id.Session]; s != nil {
		lowest = max(s.lowest, 1)
	}
	id.Serial = max(lowest+uint64(w.rng.IntN(400)), 3) - 2
	switch n := w.rng.IntN(12); {
	case n < 3 && !w.busy:
		id.Lowest = min(id.Serial, lowest+uint64(w.rng.IntN(2)*w.rng.IntN(3)*w.rng.IntN(9)))
	case n == 0:
		id.Lowest = min(id.Serial, lowest+uint64(w.rng.IntN(12)))
	}
	return id
}

// request is one of a few, of which some are refused, and some do nothing.
func (w *idWorld) request(id requestid.ID) *Request {
	cond := Cond{}
	if w.rng.IntN(4) == 0 {
		cond.NoneMatch = anyTag
	}
	req, err := Put("there", []byte("x"), cond)
	if w.rng.IntN(4) == 0 {
		req, err = Delete("absent", Cond{})
	}
	require.NoError(w.t, err)
	return req.Named(id, uint64(w.rng.IntN(8)/7)) // seldom another hash
}

func (w *idWorld) send(req *Request) {
	id, last := req.id, w.m.position.Seq
	v := w.m.JudgeOnce(req, w.now)
	first, found := w.model.find(id)
	switch {
	case id.IsZero():
	case w.model.forgotten(id, last):
		w.refused(v, problem.SessionExpired)
		return
	case found && first.Hash != req.hash:
		w.refused(v, problem.IDReused)
		return
	case found:
		require.Equal(w.t, Verdict{Repeated: true, Position: first.Position, Missing: first.Status == 404, Err: v.Err}, v)
		require.Equal(w.t, first.Status == 412, problem.CodeOf(v.Err) == problem.PreconditionFailed)
		return
	case w.model.full(id, w.now, w.limits):
		w.refused(v, problem.Overloaded)
		return
	}
	require.False(w.t, v.Repeated)
	require.Equal(w.t, !id.IsZero() || len(v.Effects) > 0, v.Recorded)
	if !v.Recorded {
		return
	}
	pos := at(1, last+1)
	require.NoError(w.t, w.m.ApplyBatch(pos, AppendAnswered(nil, req, v.Status), AppendBatch(nil, w.now, v.Effects)))
	if !id.IsZero() {
		w.model.add(id, Answer{req.hash, pos, v.Status}, w.m.time, w.limits)
	}
	w.model.expire(pos.Seq, w.m.time)
}

func (w *idWorld) refused(v Verdict, code problem.Code) {
	w.t.Helper()
	require.Equal(w.t, code, problem.CodeOf(v.Err))
	require.Equal(w.t, Verdict{Err: v.Err}, v, "nothing is recorded")
}
