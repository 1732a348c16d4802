package store

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

func tag(positions ...protocol.Position) Tags { return Tags{Given: true, Positions: positions} }

var anyTag = Tags{Given: true, Any: true}

func TestConditions(t *testing.T) {
	m := NewMap()
	apply(t, m, set("other", "x"))
	apply(t, m, set("there", "1"))
	now, old := at(1, 2), at(1, 1)
	for name, tc := range map[string]struct {
		key  string
		cond Cond
		ok   bool
	}{
		"none, there":                  {"there", Cond{}, true},
		"none, absent":                 {"absent", Cond{}, true},
		"match, there":                 {"there", Cond{Match: tag(now)}, true},
		"match one of two":             {"there", Cond{Match: tag(old, now)}, true},
		"match an older write":         {"there", Cond{Match: tag(old)}, false},
		"match nothing":                {"there", Cond{Match: tag()}, false},
		"match any, there":             {"there", Cond{Match: anyTag}, true},
		"match any, absent":            {"absent", Cond{Match: anyTag}, false},
		"match, absent":                {"absent", Cond{Match: tag(now)}, false},
		"match the zero position":      {"absent", Cond{Match: tag(at(0, 0))}, false},
		"none-match, there":            {"there", Cond{NoneMatch: tag(now)}, false},
		"none-match an older write":    {"there", Cond{NoneMatch: tag(old)}, true},
		"none-match nothing":           {"there", Cond{NoneMatch: tag()}, true},
		"none-match any, there":        {"there", Cond{NoneMatch: anyTag}, false},
		"none-match any, absent":       {"absent", Cond{NoneMatch: anyTag}, true},
		"both hold":                    {"there", Cond{Match: tag(now), NoneMatch: tag(old)}, true},
		"the second does not hold":     {"there", Cond{Match: tag(now), NoneMatch: tag(now)}, false},
		"match with another epoch":     {"there", Cond{Match: tag(at(2, 2))}, false},
		"match with another key's tag": {"there", Cond{Match: tag(at(1, 1))}, false},
	} {
		t.Run(name, func(t *testing.T) {
			put, err := Put(tc.key, []byte("new"), tc.cond)
			require.NoError(t, err)
			gone, err := Delete(tc.key, tc.cond)
			require.NoError(t, err)
			effects, err := m.Judge(put)
			_, errDelete := m.Judge(gone)
			if tc.ok {
				require.NoError(t, err)
				require.NoError(t, errDelete)
				require.Equal(t, []Op{set(tc.key, "new")}, effects)
				return
			}
			require.Equal(t, problem.PreconditionFailed, problem.CodeOf(err))
			require.Equal(t, problem.PreconditionFailed, problem.CodeOf(errDelete))
			require.ErrorContains(t, err, tc.key)
			require.Empty(t, effects)
		})
	}
}

func TestRefusedConditionNamesTheTag(t *testing.T) {
	m := NewMap()
	apply(t, m, set("a", "1"))
	req, err := Put("a", nil, Cond{NoneMatch: anyTag})
	require.NoError(t, err)
	_, err = m.Judge(req)
	require.ErrorContains(t, err, `key "a" has the ETag "1.1"`)
	req, err = Put("b", nil, Cond{Match: anyTag})
	require.NoError(t, err)
	_, err = m.Judge(req)
	require.ErrorContains(t, err, `key "b" is not there`)
}

func merge(t testing.TB, ops ...Op) *Request {
	t.Helper()
	changes := map[string]*string{}
	for _, op := range ops {
		if op.Delete {
			changes[op.Key] = nil
		} else {
			changes[op.Key] = new(string(op.Value))
		}
	}
	req, err := Merge(changes)
	require.NoError(t, err)
	return req
}

func TestJudgeEffects(t *testing.T) {
	m := NewMap()
	apply(t, m, set("a", "1"), set("b", "2"))
	before := contents(m.View())

	effects, err := m.Judge(merge(t, set("c", "3"), del("absent"), del("b"), set("a", "1")))
	require.NoError(t, err)
	require.Equal(t, []Op{set("a", "1"), del("b"), set("c", "3")}, effects, "in the order of the keys; what is absent is not deleted")

	req := merge(t, del("absent"), set("c", ""))
	for range 2 {
		effects, err = m.Judge(req)
		require.NoError(t, err)
		require.Equal(t, []Op{{Key: "c", Value: []byte{}}}, effects, "judging a request leaves it as it is")
	}
	effects, err = m.Judge(merge(t))
	require.NoError(t, err)
	require.Empty(t, effects)

	gone, err := Delete("absent", Cond{})
	require.NoError(t, err)
	effects, err = m.Judge(gone)
	require.NoError(t, err)
	require.Empty(t, effects)
	require.Equal(t, before, contents(m.View()), "judging changes nothing")
}

func TestJudgeByProfile(t *testing.T) {
	allow := `{"initial": {"id": "1", "name": "Ada", "born": "1815"}, "read_only": ["id", "secret"]}`
	refuse := `{"initial": {"id": "1", "name": "Ada", "born": "1815"}, "read_only": ["id"], "other_keys": "refuse"}`
	for name, tc := range map[string]struct {
		profile string
		ops     []Op
		refused []string // parts of the sentence; none: not refused
	}{
		"initial key":              {allow, []Op{set("name", "x")}, nil},
		"other key":                {allow, []Op{set("new", "x")}, nil},
		"delete of an initial key": {allow, []Op{del("name")}, nil},
		"read-only key":            {allow, []Op{set("name", "x"), set("id", "2")}, []string{`key "id" cannot be updated, so nothing was`, `every key can be updated except "id", "secret"; of the initial keys "born", "name"`}},
		"read-only, not initial":   {allow, []Op{set("secret", "2")}, []string{`key "secret"`}},
		"delete of read-only":      {allow, []Op{del("id")}, []string{`key "id"`}},
		"several":                  {refuse, []Op{set("id", "2"), set("x", "y"), set("name", "z")}, []string{`keys "id", "x" cannot be updated`, `the keys that can be updated are "born", "name"`}},
		"refuse: initial key":      {refuse, []Op{set("name", "x"), del("born")}, nil},
		"refuse: other key":        {refuse, []Op{set("x", "y")}, []string{`key "x"`}},
		"refuse: absent other key": {refuse, []Op{del("x")}, []string{`key "x"`}},
		"nothing updatable":        {`{"other_keys": "refuse"}`, []Op{set("x", "y")}, []string{"lets no key be updated"}},
		"read-only alone":          {`{"read_only": ["x"]}`, []Op{set("x", "y")}, []string{`every key can be updated except "x"`}},
	} {
		t.Run(name, func(t *testing.T) {
			m := NewMap()
			require.NoError(t, m.ApplyProfile(at(1, 1), []byte(tc.profile)))
			effects, err := m.Judge(merge(t, tc.ops...))
			if tc.refused == nil {
				require.NoError(t, err)
				require.Len(t, effects, len(tc.ops))
				return
			}
			require.Equal(t, problem.NotUpdatable, problem.CodeOf(err))
			require.Empty(t, effects, "all keys or none")
			for _, part := range tc.refused {
				require.ErrorContains(t, err, part)
			}
		})
	}
}

func TestProfileIsJudgedBeforeTheCondition(t *testing.T) {
	m := NewMap()
	require.NoError(t, m.ApplyProfile(at(1, 1), []byte(`{"read_only": ["id"]}`)))
	req, err := Put("id", nil, Cond{Match: anyTag})
	require.NoError(t, err)
	_, err = m.Judge(req)
	require.Equal(t, problem.NotUpdatable, problem.CodeOf(err))
}

func TestLimitBytes(t *testing.T) {
	m := NewMap()
	apply(t, m, set("a", "12345"), set("b", "12345"))
	m.LimitBytes(m.Bytes() + entrySize(1, 5))
	for name, tc := range map[string]struct {
		ops []Op
		ok  bool
	}{
		"exactly full":         {[]Op{set("c", "12345")}, true},
		"one byte more":        {[]Op{set("c", "123456")}, false},
		"grow in place":        {[]Op{set("a", strings.Repeat("x", 200))}, false},
		"delete makes room":    {[]Op{del("b"), set("c", "123456")}, true},
		"delete of the absent": {[]Op{del("d"), set("c", "123456")}, false},
		"same size":            {[]Op{set("a", "54321")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := m.Clone().Judge(merge(t, tc.ops...))
			if tc.ok {
				require.NoError(t, err)
				return
			}
			require.Equal(t, problem.OutOfMemory, problem.CodeOf(err))
			require.ErrorContains(t, err, "delete keys or raise -max-bytes")
		})
	}
	m.LimitBytes(1)
	_, err := m.Judge(merge(t, set("a", "1")))
	require.NoError(t, err, "a map above the limit can shrink")
	_, err = m.Judge(merge(t, set("a", "123456")))
	require.Equal(t, problem.OutOfMemory, problem.CodeOf(err))
}

func TestRequestLimits(t *testing.T) {
	long := strings.Repeat("k", MaxKey+1)
	for key, sentence := range map[string]string{
		"":       "the key is empty: a key has 1 to 1024 bytes",
		long:     "has 1025 bytes: a key has 1 to 1024 bytes",
		"\xffab": "is not UTF-8",
	} {
		_, err := Put(key, nil, Cond{})
		require.ErrorContains(t, err, sentence)
		require.Equal(t, problem.BadRequest, problem.CodeOf(err))
		_, err = Delete(key, Cond{})
		require.ErrorContains(t, err, sentence)
		_, err = Merge(map[string]*string{"fine": nil, key: nil})
		require.ErrorContains(t, err, sentence)
	}
	_, err := Put(long[1:], make([]byte, MaxValue), Cond{})
	require.NoError(t, err)
	_, err = Put("k", make([]byte, MaxValue+1), Cond{})
	require.Equal(t, problem.TooLarge, problem.CodeOf(err))
	big := strings.Repeat("v", MaxValue)
	_, err = Merge(map[string]*string{"k": new(big + "v")})
	require.Equal(t, problem.TooLarge, problem.CodeOf(err))
	eight := map[string]*string{}
	for _, key := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
		eight[key] = &big
	}
	_, err = Merge(eight)
	require.Equal(t, problem.TooLarge, problem.CodeOf(err))
	require.ErrorContains(t, err, "the request takes 8388668 bytes in the journal: at most 8388608")
	delete(eight, "8")
	req, err := Merge(eight)
	require.NoError(t, err)
	require.LessOrEqual(t, len(AppendBatch(nil, 0, req.ops)), req.Size())
}

// Size must never be below what the record takes: the journal reserves by it.
func TestSizeBoundsTheRecord(t *testing.T) {
	longest := set(strings.Repeat("k", MaxKey), strings.Repeat("v", MaxValue))
	for _, ops := range [][]Op{nil, {del("k")}, {set("k", "")}, {longest}, {longest, del(longest.Key[1:]), set("a", "b")}} {
		req := merge(t, ops...)
		size := len(AppendBatch(nil, -1, req.ops))
		require.LessOrEqual(t, size, req.Size())
		require.Less(t, req.Size()-size, 5*(len(ops)+1), "and not far above it")
	}
	for _, req := range []func() (*Request, error){
		func() (*Request, error) { return Put(longest.Key, longest.Value, Cond{}) },
		func() (*Request, error) { return Delete(longest.Key, Cond{}) },
	} {
		r, err := req()
		require.NoError(t, err)
		require.LessOrEqual(t, len(AppendBatch(nil, 0, r.ops)), r.Size())
	}
}
