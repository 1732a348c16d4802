package store

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/requestid"
)

var hop = requestid.Session{1, 15: 2}

// serial is an id of one first hop, born at the first record.
func serial(n, lowest uint64) requestid.ID {
	return requestid.ID{Session: hop, Birth: 1, Serial: n, Lowest: lowest}
}

func put(t testing.TB, key, value string, cond Cond) *Request {
	t.Helper()
	req, err := Put(key, []byte(value), cond)
	require.NoError(t, err)
	return req
}

// carry judges the request at a group time and applies what is to be recorded.
func carry(t testing.TB, m *Map, req *Request, now int64) Verdict {
	t.Helper()
	v := m.JudgeOnce(req, now)
	if v.Recorded {
		pos := at(max(1, m.Position().Epoch), m.Position().Seq+1)
		require.NoError(t, m.ApplyBatch(pos, AppendAnswered(nil, req, v.Status), AppendBatch(nil, now, v.Effects)))
	}
	return v
}

func TestAnsweredRoundTrip(t *testing.T) {
	widest := requestid.ID{Session: hop, Birth: 1<<64 - 1, Serial: 1<<64 - 1, Lowest: 1<<64 - 1}
	for _, id := range []requestid.ID{serial(1, 0), serial(300, 200), widest, {Key: "k"}, {Key: strings.Repeat("~", requestid.MaxKey)}} {
		req := put(t, "a", "1", Cond{})
		named := req.Named(id, 1<<64-2)
		require.Equal(t, id, named.ID())
		require.True(t, req.ID().IsZero(), "a request does not change")
		text := AppendAnswered(nil, named, http.StatusNoContent)
		require.LessOrEqual(t, len(text), named.Size()-req.Size(), "the journal reserves by the size")
		require.LessOrEqual(t, maxAnswered, 128)
		got, err := parseAnswered(text)
		require.NoError(t, err)
		require.Equal(t, answered{id, 1<<64 - 2, http.StatusNoContent}, got)
	}
	plain := put(t, "a", "1", Cond{})
	require.Same(t, plain, plain.Named(requestid.ID{}, 7))
	require.Empty(t, AppendAnswered(nil, plain, http.StatusNoContent))
}

func TestDamagedRequestIDs(t *testing.T) {
	good := AppendAnswered(nil, put(t, "a", "", Cond{}).Named(serial(7, 5), 1), http.StatusOK)
	key := AppendAnswered(nil, put(t, "a", "", Cond{}).Named(requestid.ID{Key: "k"}, 1), http.StatusOK)
	alter := func(b []byte, i int, c byte) []byte {
		b = append([]byte(nil), b...)
		b[i] = c
		return b
	}
	for name, text := range map[string][]byte{
		"kind":              alter(good, 0, 3),
		"status":            alter(good, 9, 201),
		"lowest above":      alter(good, len(good)-1, 8),
		"serial 0":          alter(alter(good, len(good)-2, 0), len(good)-1, 0),
		"too long":          append(append([]byte(nil), good...), 0),
		"no session":        append(append([]byte(nil), good[:answeredLen]...), append(make([]byte, 16), 1, 1, 1)...),
		"key not printable": alter(key, len(key)-1, 7),
		"key too long":      append(append([]byte(nil), key...), make([]byte, requestid.MaxKey)...),
		"no key":            key[:answeredLen],
		"session's key":     append(append([]byte(nil), key[:answeredLen]...), "us1.x"...),
	} {
		t.Run(name, func(t *testing.T) { requireDamaged(t, text) })
	}
	for n := 1; n < len(good); n++ {
		requireDamaged(t, good[:n])
	}
}

func requireDamaged(t *testing.T, text []byte) {
	t.Helper()
	_, err := parseAnswered(text)
	require.ErrorIs(t, err, errAnswered)
	m := NewMap()
	pos := apply(t, m, set("a", "1"))
	err = m.ApplyBatch(at(1, 2), text, AppendBatch(nil, 9, []Op{set("a", "2")}))
	require.ErrorIs(t, err, errAnswered)
	require.ErrorContains(t, err, "apply record 1.2")
	require.Equal(t, map[string]Entry{"a": {"1", pos}}, contents(m.View()), "a refused record changes nothing")
	require.Equal(t, pos, m.Position())
	require.Equal(t, int64(1), m.GroupTime())
}

// No primary makes such records, so one that is read is damaged or worse.
func TestRecordsThatNoPrimaryMakes(t *testing.T) {
	m := NewMap()
	apply(t, m, set("a", "1"))
	carry(t, m, put(t, "a", "2", Cond{}).Named(serial(7, 5), 1), 2)
	carry(t, m, put(t, "a", "3", Cond{}).Named(requestid.ID{Key: "k"}, 1), 3)
	other := requestid.Session{9}
	for name, id := range map[string]requestid.ID{
		"answered twice":     serial(7, 5),
		"below the lowest":   serial(4, 4),
		"key twice":          {Key: "k"},
		"born at 0":          {Session: other, Serial: 1},
		"born in the future": {Session: other, Birth: 4, Serial: 1},
	} {
		text := AppendAnswered(nil, put(t, "a", "", Cond{}).Named(id, 1), http.StatusNoContent)
		require.ErrorIs(t, m.ApplyBatch(at(1, 4), text, AppendBatch(nil, 9, nil)), errAnswered, name)
	}
	require.NoError(t, m.ApplyBatch(at(1, 4), AppendAnswered(nil, put(t, "a", "", Cond{}).Named(requestid.ID{Session: other, Birth: 3, Serial: 1}, 1), 200), AppendBatch(nil, 9, nil)))
}

// Every answer that is remembered is repeated in its own words.
func TestRepeats(t *testing.T) {
	absent, err := Delete("absent", Cond{})
	require.NoError(t, err)
	there, err := Delete("gone", Cond{})
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		req     *Request
		status  int
		missing bool
		code    problem.Code
		again   string
	}{
		"put":            {req: put(t, "a", "2", Cond{}), status: 204},
		"delete":         {req: there, status: 204},
		"delete nothing": {req: absent, status: 404, missing: true},
		"patch":          {req: merge(t, set("a", "3"), del("absent")), status: 200},
		"patch nothing":  {req: merge(t, del("absent")), status: 200, missing: true},
		"condition":      {req: put(t, "a", "2", Cond{NoneMatch: anyTag}), status: 412, code: problem.PreconditionFailed, again: "its condition did not hold"},
		"profile":        {req: put(t, "id", "2", Cond{}), status: 422, code: problem.NotUpdatable, again: "could not be updated"},
		"no room":        {req: put(t, "large", strings.Repeat("v", 4000), Cond{}), status: 507, code: problem.OutOfMemory, again: "no room"},
	} {
		for _, id := range []requestid.ID{serial(1, 1), {Key: "mine"}} {
			t.Run(name+"/"+id.Key, func(t *testing.T) {
				m := NewMap()
				m.LimitBytes(2000)
				require.NoError(t, m.ApplyProfile(at(1, 1), []byte(`{"initial": {"id": "1", "a": "1", "gone": "x"}, "read_only": ["id"]}`)))
				first := carry(t, m, tc.req.Named(id, 5), 10)
				require.True(t, first.Recorded, "a refusal and an effect on nothing too")
				require.Equal(t, tc.status, first.Status)
				require.Equal(t, tc.missing, first.Missing)
				require.Equal(t, tc.code, problem.CodeOf(first.Err))
				at := m.Position()
				apply(t, m, set("a", "other"), set("absent", "now there"), del("id")) // a late copy is not judged by it
				state := contents(m.View())

				again := carry(t, m, tc.req.Named(id, 5), 20)
				require.True(t, again.Repeated)
				require.Equal(t, at, again.Position)
				require.Equal(t, tc.code, problem.CodeOf(again.Err))
				require.Equal(t, tc.status == 404, again.Missing)
				if tc.again != "" {
					require.ErrorContains(t, again.Err, tc.again)
					require.ErrorContains(t, again.Err, "when it came first, at "+at.String())
				}
				require.Equal(t, state, contents(m.View()))

				other := carry(t, m, tc.req.Named(id, 6), 30)
				require.Equal(t, problem.IDReused, problem.CodeOf(other.Err))
				require.ErrorContains(t, other.Err, id.AsKey())
				require.False(t, other.Recorded)
			})
		}
	}
}

func TestExpiredSessionsSayWhy(t *testing.T) {
	m := NewMap()
	apply(t, m, set("a", "1"))
	carry(t, m, put(t, "a", "2", Cond{}).Named(serial(7, 5), 1), 2)
	v := m.JudgeOnce(put(t, "a", "2", Cond{}).Named(serial(4, 1), 1), 3)
	require.Equal(t, problem.SessionExpired, problem.CodeOf(v.Err))
	require.ErrorContains(t, v.Err, "request 4 of its session was answered")
	v = m.JudgeOnce(put(t, "a", "2", Cond{}).Named(requestid.ID{Session: requestid.Session{9}, Serial: 1}, 1), 3)
	require.Equal(t, problem.SessionExpired, problem.CodeOf(v.Err))
	require.ErrorContains(t, v.Err, "is not known here: it was born at 0")
}

// The limits are as documented.
func TestFullTables(t *testing.T) {
	m := NewMap()
	apply(t, m, set("a", "1"))
	req := put(t, "a", "2", Cond{})
	for n := range uint64(MaxSessionAnswers) {
		carry(t, m, req.Named(serial(n+1, 1), 1), 2)
	}
	v := m.JudgeOnce(req.Named(serial(MaxSessionAnswers+1, 1), 1), 3)
	require.Equal(t, problem.Overloaded, problem.CodeOf(v.Err))
	require.ErrorContains(t, v.Err, "20000 answers of the session are kept, from request 1 on")
	require.False(t, v.Recorded)
	require.True(t, m.JudgeOnce(req.Named(serial(MaxSessionAnswers, 1), 1), 3).Repeated)
	require.NoError(t, m.JudgeOnce(req.Named(serial(MaxSessionAnswers+1, 2), 1), 3).Err, "it makes its own room")

	id := requestid.ID{Birth: 1, Serial: 1}
	for n := 1; n < MaxSessions; n++ {
		id.Session = requestid.Session{15: 0, 0: 2, 1: byte(n >> 8), 2: byte(n)}
		carry(t, m, req.Named(id, 1), 4)
	}
	fresh := req.Named(requestid.ID{Session: requestid.Session{3}, Birth: m.Position().Seq, Serial: 1}, 1)
	v = m.JudgeOnce(fresh, 5)
	require.Equal(t, problem.Overloaded, problem.CodeOf(v.Err))
	require.ErrorContains(t, v.Err, "10000 sessions were used in the last 10m")
	carry(t, m, fresh, 2+int64(KeepFor)+1)
	require.Equal(t, protocol.Seq(1), m.ids.horizon, "one session was idle for long enough")
	require.Equal(t, MaxSessions, m.ids.sessionCount())
}

// What is answered later at one map is not known to another that was made of it.
func TestSharedSessionsChangeApart(t *testing.T) {
	m := NewMap()
	apply(t, m, set("a", "0"))
	for n := uint64(1); n <= 3; n++ {
		carry(t, m, put(t, "a", "1", Cond{}).Named(serial(n, 1), 1), 1)
	}
	before := m.Clone()
	carry(t, m, put(t, "a", "1", Cond{}).Named(serial(4, 1), 1), 1)
	carry(t, m, put(t, "a", "1", Cond{}).Named(serial(5, 3), 1), 1)
	require.False(t, before.JudgeOnce(put(t, "a", "1", Cond{}).Named(serial(4, 1), 1), 1).Repeated)
	require.True(t, before.JudgeOnce(put(t, "a", "1", Cond{}).Named(serial(1, 1), 1), 1).Repeated)
	require.True(t, m.JudgeOnce(put(t, "a", "1", Cond{}).Named(serial(4, 1), 1), 1).Repeated)
	require.Equal(t, problem.SessionExpired, problem.CodeOf(m.JudgeOnce(put(t, "a", "1", Cond{}).Named(serial(1, 1), 1), 1).Err))
}

func FuzzParseAnswered(f *testing.F) {
	f.Add(AppendAnswered(nil, put(f, "a", "", Cond{}).Named(serial(7, 5), 1), http.StatusOK))
	f.Add(AppendAnswered(nil, put(f, "a", "", Cond{}).Named(requestid.ID{Key: "k"}, 1), http.StatusOK))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parseAnswered(text)
		m := NewMap()
		apply(t, m, set("a", "1"))
		applied := m.ApplyBatch(at(1, 2), text, AppendBatch(nil, 0, nil))
		if err != nil {
			require.Equal(t, len(text) > 0, applied != nil)
			return
		}
		again, err := parseAnswered(AppendAnswered(nil, put(t, "a", "", Cond{}).Named(a.id, a.hash), a.status))
		require.NoError(t, err)
		require.Equal(t, a, again)
	})
}
