package failover

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/pkg/wire"
)

func TestEveryKindStrikesAndUndoes(t *testing.T) {
	for kind, story := range map[string]string{
		"kill":       "kill app1, start app1, ready ",
		"stop":       "stop app1, cont app1, ready ",
		"cut":        "cut app1, heal app1, ready ",
		"term":       "terminate app1, start app1, ready ",
		"switchover": "switchover app1, ready ",
	} {
		t.Run(kind, func(t *testing.T) {
			s := newStore()
			opts := options(s, kind)
			opts.Settle = 0
			trials, err := run(t, linked{s}, opts)
			require.NoError(t, err)
			require.Equal(t, story, strings.Join(s.story, ", "))
			require.Equal(t, []string{"app1", "app2"}, []string{trials[0].Struck, trials[0].Successor})
			// What lasts is under load for as long: a writer does a step in 2 ms or 3.
			steps := 1 + int(opts.Down/(3*time.Millisecond))
			require.Equal(t, opts.Kind.Lasts, trials[0].Writes/opts.Writers > steps, "%d writes", trials[0].Writes)
		})
	}
	require.Equal(t, []string{"kill", "stop", "cut", "term", "switchover", "both"}, KindNames())
}

func TestACleanTakeover(t *testing.T) {
	s := newStore()
	trials, err := run(t, s, func() Options { o := options(s, "kill"); o.Trials = 2; return o }())
	require.NoError(t, err)
	require.Len(t, trials, 2)
	require.Equal(t, "app2", trials[1].Struck)
	for _, tr := range trials {
		require.Zero(t, tr.Failed, tr.Examples)
		require.False(t, tr.Broken(), "%+v", tr)
		for _, pause := range append([]float64{tr.WritePause, tr.ReadPause, tr.Outage}, tr.Pauses...) {
			require.InDelta(t, 51, pause, 3)
		}
		require.Len(t, tr.Pauses, 7)
		require.InDelta(t, 2, tr.Quiet, 1)
		require.Positive(t, tr.Repeats)
		require.Positive(t, tr.Reads)
		require.Greater(t, tr.Writes, tr.Repeats)
	}
	require.Empty(t, s.keys, "a trial leaves nothing behind")
}

// failing answers every n-th write in the store's place.
func failing(n int, answer func(*store, call.Request) call.Answer) func(*store, call.Request) (call.Answer, bool) {
	writes := 0
	return func(s *store, req call.Request) (call.Answer, bool) {
		if req.Method == http.MethodGet {
			return call.Answer{}, false
		}
		if writes++; writes%n != 0 {
			return call.Answer{}, false
		}
		return answer(s, req), true
	}
}

func TestFailuresAreCountedAndAreNoFaults(t *testing.T) {
	refuse := func(*store, call.Request) call.Answer {
		return call.Answer{Status: 503, Code: "no_primary", Detail: "later"}
	}
	lose := func(*store, call.Request) call.Answer { return call.Answer{Code: call.NoAnswer, Sent: true} }
	loseApplied := func(s *store, req call.Request) call.Answer {
		s.carryOut(req)
		return call.Answer{Code: call.NoAnswer, Sent: true}
	}
	for name, c := range map[string]struct {
		code   string
		answer func(*store, call.Request) call.Answer
	}{
		"refused":      {"no_primary", refuse},
		"lost":         {"no_answer", lose},
		"lost applied": {"no_answer", loseApplied},
		"no code":      {"http_500", func(*store, call.Request) call.Answer { return call.Answer{Status: 500} }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore()
			s.spoil = failing(7, c.answer)
			tr := one(t, s)
			require.Positive(t, tr.Failed)
			require.Equal(t, map[string]int{c.code: tr.Failed}, tr.Codes)
			require.Len(t, tr.Examples, maxTold)
			require.Contains(t, tr.Examples[0], "PUT b/0/w")
			require.Contains(t, tr.Examples[0], ": "+c.code+": ")
			require.False(t, tr.Broken(), "%+v", tr)
		})
	}
}

func TestAnUnknownOutcomeIsAskedAgainWithItsKey(t *testing.T) {
	for _, applied := range []bool{false, true} {
		s := newStore()
		asked := 0
		lose := failing(7, func(s *store, req call.Request) call.Answer {
			key := req.ID
			if key == "" {
				key = "us1." + strconv.Itoa(s.seq) + req.Key
			}
			if applied {
				req.ID = key
				s.carryOut(req)
			}
			return call.Answer{Status: 504, Code: "outcome_unknown", Key: key, Sent: true}
		})
		s.spoil = func(s *store, req call.Request) (call.Answer, bool) {
			if strings.HasPrefix(req.ID, "us1.") {
				asked++
				return call.Answer{}, false
			}
			return lose(s, req)
		}
		tr := one(t, s)
		require.Positive(t, asked)
		require.GreaterOrEqual(t, tr.Codes["outcome_unknown"], asked)
		require.False(t, tr.Broken(), "%+v", tr)
	}
}

func TestFaultsAreFound(t *testing.T) {
	const counter, once = "b/0/w0/counter", "b/0/w1/once/"
	for name, c := range map[string]struct {
		onStrike             func(*store)
		lost, doubled, stale string
	}{
		"a write is gone":         {onStrike: func(s *store) { delete(s.keys, once+"0") }, lost: once + "0: value 0 was acknowledged, and the key is gone"},
		"a write is another":      {onStrike: func(s *store) { s.set(once+"0", "7") }, lost: once + `0: value 0 was acknowledged, and "7" is there`},
		"a write came twice":      {onStrike: func(s *store) { s.set(once+"0", "0") }, doubled: once + "0: value 0 was written as "},
		"a counter is gone":       {onStrike: func(s *store) { delete(s.keys, counter) }, lost: counter + ": value "},
		"a counter goes back":     {onStrike: func(s *store) { s.set(counter, "1") }, lost: counter + ": value "},
		"a counter goes forward":  {onStrike: func(s *store) { s.set(counter, "999") }, doubled: counter + ": value 999 was written once more"},
		"a counter counts twice":  {onStrike: func(s *store) { s.set(counter, s.keys[counter].value) }, doubled: counter + ": value "},
		"a key that nobody wrote": {onStrike: func(s *store) { s.set("b/0/x", "1") }, doubled: "b/0/x is there, although no write of it was acknowledged"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore()
			s.onStrike = c.onStrike
			tr := one(t, s, func(o *Options) { o.Writers = 2; o.After = 500 * time.Millisecond })
			require.True(t, tr.Broken())
			for want, got := range map[string][]string{c.lost: tr.Lost, c.doubled: tr.Doubled} {
				if want != "" {
					require.Contains(t, strings.Join(got, "\n"), want)
				}
			}
			if c.lost == "" {
				require.Empty(t, tr.Lost)
			}
			if c.doubled == "" {
				require.Empty(t, tr.Doubled)
			}
		})
	}
}

func TestARepeatThatIsJudgedAnewIsFound(t *testing.T) {
	s := newStore()
	s.spoil = func(s *store, req call.Request) (call.Answer, bool) {
		req.ID = ""
		return s.carryOut(req), true
	}
	tr := one(t, s)
	require.Contains(t, strings.Join(tr.Doubled, "\n"), "was judged anew, and refused")
	require.Contains(t, strings.Join(tr.Doubled, "\n"), "was applied as ")
	require.Positive(t, tr.Codes["precondition_failed"])
}

func TestARefusalThatWasAppliedIsFound(t *testing.T) {
	s := newStore()
	s.spoil = failing(20, func(s *store, req call.Request) call.Answer {
		if req.Match == "" {
			return s.carryOut(req)
		}
		s.carryOut(req)
		return call.Answer{Status: http.StatusPreconditionFailed, Code: "precondition_failed"}
	})
	tr := one(t, s, func(o *Options) { o.Named = false })
	require.Contains(t, strings.Join(tr.Doubled, "\n"), "or in spite of a refusal")
	require.Equal(t, tr.Failed, tr.Codes["precondition_failed"])
	require.Positive(t, tr.Failed)
}

func TestAReadOfOldStateIsFound(t *testing.T) {
	s := newStore()
	old := map[string]entry{}
	s.spoil = func(s *store, req call.Request) (call.Answer, bool) {
		e, ok := old[req.Key]
		if req.Method == http.MethodGet && ok && s.primary == "app2" {
			return call.Answer{Status: 200, ETag: e.etag, Body: []byte(e.value)}, true
		}
		if _, kept := old[req.Key]; !kept && s.primary == "app1" {
			old[req.Key] = s.keys[req.Key] // as of before this request
		}
		return call.Answer{}, false
	}
	s.onStrike = func(s *store) {
		for k := range old {
			old[k] = entry{"0", `"1.0"`}
		}
	}
	tr := one(t, s)
	require.Contains(t, strings.Join(tr.Stale, "\n"), "was acknowledged before the read, which returned 0")
	require.Empty(t, tr.Lost)
}

func TestAReadOfWhatNobodyWroteIsFound(t *testing.T) {
	s := newStore()
	s.spoil = func(s *store, req call.Request) (call.Answer, bool) {
		return call.Answer{Status: 200, Body: []byte("999")}, req.Method == http.MethodGet && s.primary == "app2"
	}
	tr := one(t, s)
	require.Contains(t, strings.Join(tr.Stale, "\n"), "the read returned 999, and nobody had written more than ")
	require.Empty(t, tr.Lost)
}

func TestWithoutConditionsAndKeys(t *testing.T) {
	s := newStore()
	s.spoil = failing(9, func(s *store, req call.Request) call.Answer {
		s.carryOut(req)
		return call.Answer{Code: call.NoAnswer, Sent: true}
	})
	tr := one(t, s, func(o *Options) { o.Named, o.Conditional = false, false })
	require.False(t, tr.Broken(), "a repeat of a write whose answer was lost is no fault: %+v", tr)
	require.Zero(t, tr.Repeats)
	require.Positive(t, tr.Failed)
}

func TestWhatEndsARun(t *testing.T) {
	for want, prepare := range map[string]func(*store, *Options){
		"nobody took over from app1 within 5s: no primary serves now": func(s *store, _ *Options) { s.deaf = true },
		"a client was not served again within 5s; the last that it was told: ": func(s *store, _ *Options) {
			s.onStrike = func(s *store) {
				s.spoil = func(*store, call.Request) (call.Answer, bool) {
					return call.Answer{Status: 503, Code: "overloaded"}, true
				}
			}
		},
		`holds "x", which nobody wrote`: func(s *store, _ *Options) {
			s.spoil = func(_ *store, req call.Request) (call.Answer, bool) {
				return call.Answer{Status: 200, Body: []byte("x")}, req.Method == http.MethodGet
			}
		},
		"read everything back: the copies differ": func(s *store, _ *Options) {
			s.items = func([]wire.Item) ([]wire.Item, error) { return nil, errors.New("the copies differ") }
		},
		"find the primary: no primary serves now": func(s *store, o *Options) {
			o.Settle, s.down = 0, true
		},
		"*failover.store has no links that can be cut": func(_ *store, o *Options) { o.Kind = KindOf("cut") },
		"*failover.store has no several monitors":      func(_ *store, o *Options) { o.Kind = KindOf("both") },
		"*failover.store knows no switchover":          func(_ *store, o *Options) { o.Kind = KindOf("switchover") },
	} {
		t.Run(want, func(t *testing.T) {
			s := newStore()
			opts := options(s, "kill")
			prepare(s, &opts)
			_, err := run(t, s, opts)
			require.ErrorContains(t, err, "trial 1: ")
			require.ErrorContains(t, err, want)
		})
	}
}

func TestARequestThatHangsEndsTheRun(t *testing.T) {
	s := newStore()
	s.onStrike = func(s *store) {
		time.AfterFunc(20*time.Millisecond, func() { // after all have been served, and before the end
			s.mu.Lock()
			s.down = true
			s.mu.Unlock()
		})
	}
	_, err := run(t, s, options(s, "kill"))
	require.ErrorContains(t, err, "a request was not answered within 5s")
}
