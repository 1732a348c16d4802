package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// shop is a server of the client API whose honesty a test chooses.
type shop struct {
	mu     sync.Mutex // guards the fields below
	seq    int
	items  map[string]wire.Item
	writes int
	each   map[string]int // the writes of each writer
	node   string
	// lie is asked before every write; it may apply it by calling apply, and
	// answers it unless it returns false.
	lie func(s *shop, w http.ResponseWriter, writes int, apply func()) (honest bool)
	// stale has every read answered from what was there before the last write of
	// its key.
	stale  bool
	before map[string]wire.Item
}

func open(t *testing.T, lie func(*shop, http.ResponseWriter, int, func()) bool) (*shop, *Ledger) {
	t.Helper()
	s := &shop{items: map[string]wire.Item{}, before: map[string]wire.Item{}, each: map[string]int{}, node: "app1", lie: lie}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, New(Options{Target: server.URL, Writers: 2, Prefix: "p/", Padding: 10})
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.TrimPrefix(r.URL.Path, "/v1/kv/")
	items := s.items
	if s.stale && r.Method == http.MethodGet {
		items = s.before
	}
	it, there := items[key]
	w.Header().Set(wire.HeaderNode, s.node)
	switch {
	case r.Method == http.MethodGet && !there:
		problem.Write(w, problem.Errorf(problem.NotFound, "no"))
		return
	case r.Method == http.MethodGet:
		w.Header().Set("ETag", it.ETag)
		_, _ = io.WriteString(w, *it.Value)
		return
	case r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != it.ETag, r.Header.Get("If-None-Match") != "" && there:
		problem.Write(w, problem.Errorf(problem.PreconditionFailed, "no"))
		return
	}
	body, _ := io.ReadAll(r.Body)
	values := map[string]string{key: string(body)}
	if r.Method == http.MethodPatch {
		values = map[string]string{}
		_ = json.Unmarshal(body, &values)
	}
	s.writes++
	for k := range values {
		s.each[k[:len("p/w0")]]++
	}
	apply := func() {
		s.seq++
		for k, v := range values {
			if is, there := s.items[k]; there {
				s.before[k] = is
			}
			s.items[k] = wire.Item{Key: k, Value: &v, ETag: fmt.Sprintf(`"1.%d"`, s.seq)}
		}
	}
	if s.lie != nil && !s.lie(s, w, s.writes, apply) {
		return
	}
	apply()
	w.Header().Set(wire.HeaderPosition, fmt.Sprintf("1.%d", s.seq))
	w.Header().Set("ETag", fmt.Sprintf(`"1.%d"`, s.seq))
	w.WriteHeader(http.StatusNoContent)
}

func (s *shop) list() []wire.Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []wire.Item
	for _, it := range s.items {
		all = append(all, it)
	}
	return all
}

// write has the ledger write until the shop has seen n more writes, as many of
// each writer.
func write(t *testing.T, s *shop, l *Ledger, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	s.mu.Lock()
	clear(s.each)
	s.mu.Unlock()
	running.Go(func() { l.Run(ctx) })
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, w := range l.writers {
			if s.each[strings.TrimSuffix(w.prefix, "/")] < n/len(l.writers) {
				return false
			}
		}
		return true
	}, 10*time.Second, time.Millisecond)
	cancel()
	running.Wait()
}

func TestAnHonestServer(t *testing.T) {
	s, l := open(t, nil)
	write(t, s, l, 50)
	l.Check(s.list())
	write(t, s, l, 100)
	l.Check(s.list())
	require.Empty(t, l.Violations())
	require.GreaterOrEqual(t, l.Counts().Acknowledged, 100)
	require.Zero(t, l.Counts().Unknown)
	require.Positive(t, l.Counts().LongestGap)
	require.Greater(t, l.Counts().Judged, 150, "reads as well as writes")
	require.Zero(t, l.Counts().Undecided)
}

func TestAServerInTroubleThatIsHonest(t *testing.T) {
	s, l := open(t, func(_ *shop, w http.ResponseWriter, n int, apply func()) bool {
		switch n % 7 {
		case 1:
			problem.Write(w, problem.Errorf(problem.NoPrimary, "later"))
		case 2:
			problem.Write(w, problem.Errorf(problem.OutcomeUnknown, "who knows"))
		case 3:
			apply()
			problem.Write(w, problem.Errorf(problem.OutcomeUnknown, "who knows"))
		case 4:
			apply()
			panic(http.ErrAbortHandler)
		case 5:
			panic(http.ErrAbortHandler)
		default:
			return true
		}
		return false
	})
	write(t, s, l, 200)
	l.Check(s.list())
	require.Empty(t, l.Violations())
	require.Positive(t, l.Counts().Refused)
	require.Positive(t, l.Counts().Unknown)
}

func TestLiesAreFound(t *testing.T) {
	at := func(n int, lie func(s *shop, w http.ResponseWriter, apply func()) bool) func(*shop, http.ResponseWriter, int, func()) bool {
		return func(s *shop, w http.ResponseWriter, now int, apply func()) bool {
			return now != n || lie(s, w, apply)
		}
	}
	for want, lie := range map[string]func(*shop, http.ResponseWriter, int, func()) bool{
		"does not hold, and nobody else writes it": func(_ *shop, w http.ResponseWriter, n int, apply func()) bool {
			if n%5 == 0 { // applied in spite of a refusal
				apply()
				problem.Write(w, problem.Errorf(problem.NoPrimary, "later"))
			}
			return n%5 != 0
		},
		"epoch 1 was acknowledged by app1 and by app2": at(30, func(s *shop, w http.ResponseWriter, _ func()) bool {
			s.node = "app2"
			w.Header().Set(wire.HeaderNode, "app2")
			return true
		}),
		"500 Internal Server Error": at(30, func(_ *shop, w http.ResponseWriter, _ func()) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return false
		}),
	} {
		s, l := open(t, lie)
		write(t, s, l, 300)
		require.True(t, slices.ContainsFunc(l.Violations(), func(v string) bool { return strings.Contains(v, want) }), "%s: %v", want, l.Violations())
	}
}

func TestWhatTheMapMustNotBe(t *testing.T) {
	other := "nobody's"
	for want, spoil := range map[string]func(m map[string]wire.Item){
		"p/w0/once/3 was acknowledged or seen, and is gone":           func(m map[string]wire.Item) { delete(m, "p/w0/once/3") },
		"p/w0/pair/2/a and p/w0/pair/2/b: half of the write is there": func(m map[string]wire.Item) { delete(m, "p/w0/pair/2/a") },
		"p/w1/chain: value …, and the key is gone":                    func(m map[string]wire.Item) { delete(m, "p/w1/chain") },
		`p/w1/once/3 holds "nobody's", which nobody wrote`:            func(m map[string]wire.Item) { set(m, "p/w1/once/3", &other, "") },
		"p/w1/once/3 was written at ":                                 func(m map[string]wire.Item) { set(m, "p/w1/once/3", nil, `"7.7"`) },
		"p/w0/pair/2/b was written at ":                               func(m map[string]wire.Item) { set(m, "p/w0/pair/2/b", nil, `"7.7"`) },
		"p/w0/chain: value … was written at":                          func(m map[string]wire.Item) { set(m, "p/w0/chain", nil, `"7.7"`) },
		"p/w0/other is there, and nobody wrote it":                    func(m map[string]wire.Item) { m["p/w0/other"] = wire.Item{Key: "p/w0/other", Value: &other} },
		"p/w0/chain: value … was acknowledged, and":                   func(m map[string]wire.Item) { set(m, "p/w0/chain", &other, "") },
	} {
		s, l := open(t, nil)
		write(t, s, l, 60)
		l.Check(s.list())
		require.Empty(t, l.Violations())
		spoil(s.items)
		l.Check(s.list())
		begin, end, _ := strings.Cut(want, "…")
		require.True(t, slices.ContainsFunc(l.Violations(), func(v string) bool {
			return strings.HasPrefix(v, begin) && strings.Contains(v, end)
		}), "%s: %v", want, l.Violations())
	}
}

// Reads of another's keys are judged by the history alone: who reads does not know
// what should be there.
func TestTheHistoryShowsAStaleReadAndALostWrite(t *testing.T) {
	for name, test := range map[string]struct {
		stale bool
		lie   func(*shop, http.ResponseWriter, int, func()) bool
	}{
		"a stale read": {stale: true},
		"a lost write": {lie: func(s *shop, w http.ResponseWriter, n int, apply func()) bool {
			if n%20 == 0 {
				w.Header().Set(wire.HeaderPosition, "1.1")
				w.Header().Set("ETag", `"0.0"`)
				w.WriteHeader(http.StatusNoContent)
			}
			return n%20 != 0
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s, l := open(t, test.lie)
			s.stale = test.stale
			write(t, s, l, 80)
			l.Check(s.list())
			require.True(t, slices.ContainsFunc(l.Violations(), func(v string) bool { return strings.Contains(v, "no order explains its") }), "%v", l.Violations())
			require.Positive(t, l.Counts().Judged)
		})
	}
}

func set(m map[string]wire.Item, key string, value *string, etag string) {
	it := m[key]
	if value != nil {
		it.Value = value
	}
	if etag != "" {
		it.ETag = etag
	}
	m[key] = it
}

func TestADeadWriteMustNotComeBack(t *testing.T) {
	var late func()
	s, l := open(t, func(_ *shop, w http.ResponseWriter, n int, apply func()) bool {
		if n != 30 {
			return true
		}
		late = apply
		problem.Write(w, problem.Errorf(problem.OutcomeUnknown, "who knows"))
		return false
	})
	l.writers = l.writers[:1] // so that the 30th write is of a key written once
	write(t, s, l, 60)
	l.Check(s.list())
	require.Empty(t, l.Violations())
	late()
	l.Check(s.list())
	require.Len(t, l.Violations(), 1)
	require.Contains(t, l.Violations()[0], "was not there before, and has come back")
}
