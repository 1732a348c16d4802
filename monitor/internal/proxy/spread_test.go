package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/link"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

func TestEveryReplicaAnswersItsShare(t *testing.T) {
	inTrio(t, func(t *testing.T, s *trio) {
		require.Equal(t, alike(100), s.shares(300))
		require.EqualValues(t, 100, s.replicas["app2"].asked.Load())
	})
}

// Each kind has its turns: reads of two kinds in a regular order do not meet the
// same replica again and again.
func TestEachKindIsSpread(t *testing.T) {
	inTrio(t, func(t *testing.T, s *trio) {
		counts := map[readKind]map[string]int{readKey: {}, readList: {}, readState: {}}
		for i := range 300 {
			kind := []readKind{readKey, readList, readState}[i%3]
			res, err := s.do(t.Context(), kind, &link.Request{})
			require.NoError(t, err)
			counts[kind][nodeOf(res.Header)]++
		}
		for kind := range counts {
			for _, n := range counts[kind] {
				require.InDelta(t, 33, n, 1)
			}
		}
	})
}

// Whatever keeps a standby from answering, the primary does, at once, and the
// standby is left alone for a while.
func TestWhatAStandbyDoesNotAnswerThePrimaryDoes(t *testing.T) {
	rest := &ended{}
	for name, does := range map[string]func(context.Context) (*link.Response, error){
		"broken":  func(context.Context) (*link.Response, error) { return nil, link.ErrLost },
		"refused": func(context.Context) (*link.Response, error) { return nil, link.ErrNotSent },
		"redirect": func(context.Context) (*link.Response, error) {
			return answerOf("app2", http.StatusTemporaryRedirect), nil
		},
		"overloaded": func(context.Context) (*link.Response, error) {
			return answerOf("app2", http.StatusServiceUnavailable), nil
		},
		"disk full": func(context.Context) (*link.Response, error) {
			return answerOf("app2", http.StatusInsufficientStorage), nil
		},
		"large": func(context.Context) (*link.Response, error) {
			res := answerOf("app2", http.StatusInternalServerError)
			res.Rest = rest
			return res, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTrio(t, func(t *testing.T, s *trio) {
				s.replicas["app2"].behaves(does)
				counts := map[string]int{}
				for range 30 {
					node, took := s.read()
					counts[node]++
					require.Equal(t, time.Millisecond, took)
				}
				require.Zero(t, counts["app2"])
				require.InDelta(t, 15, counts["app3"], 1)
				require.EqualValues(t, 1, s.replicas["app2"].asked.Load(), "it rests")
				require.InDelta(t, 1, testutil.ToFloat64(s.measures.resent.WithLabelValues("app2")), 0)

				s.replicas["app2"].behaves(nil)
				time.Sleep(100 * time.Millisecond)
				require.Equal(t, alike(30), s.shares(90), "it is back")
			})
		})
	}
	require.True(t, rest.closed, "an answer that is not passed on is ended")
}

// ended is the rest of an answer that tells whether it was closed.
type ended struct {
	io.Reader
	closed bool
}

func (e *ended) Close() error {
	e.closed = true
	return nil
}

// What a standby says of the request is the caller's.
func TestAStandbysWordOnTheRequestCounts(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusNoContent, http.StatusNotModified, http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed} {
		inTrio(t, func(t *testing.T, s *trio) {
			for _, r := range s.replicas {
				r.behaves(func(context.Context) (*link.Response, error) { return answerOf(r.name, status), nil })
			}
			for range 30 {
				res, err := s.do(t.Context(), readKey, &link.Request{})
				require.NoError(t, err)
				require.Equal(t, status, res.Status)
			}
			require.EqualValues(t, 10, s.replicas["app2"].asked.Load())
		})
	}
}

// A standby that is silent, although it is in the set, costs the patience once
// and is then tried now and then.
func TestAFrozenStandbyIsNotWaitedFor(t *testing.T) {
	inTrio(t, func(t *testing.T, s *trio) {
		s.replicas["app2"].behaves(s.replicas["app2"].after(time.Hour))
		var waits []time.Duration
		for began := time.Now(); time.Since(began) < 10*time.Second; {
			node, took := s.read()
			require.NotEqual(t, "app2", node)
			if took > time.Millisecond {
				waits = append(waits, took)
			}
		}
		require.LessOrEqual(t, slices.Max(waits), 51*time.Millisecond)
		require.LessOrEqual(t, len(waits), 10, "of some 10,000")
		require.GreaterOrEqual(t, len(waits), 5)
		s.replicas["app2"].behaves(nil)
		time.Sleep(2 * time.Second)
		require.Equal(t, alike(100), s.shares(300))
	})
}

// Where everybody is late no standby is to blame.
func TestAStallOfAllIsNoStandbysFault(t *testing.T) {
	inTrio(t, func(t *testing.T, s *trio) {
		for _, r := range s.replicas {
			r.behaves(r.after(200 * time.Millisecond))
		}
		s.replicas["app2"].behaves(s.replicas["app2"].after(time.Hour))
		s.read()
		node, took := s.read()
		require.Equal(t, "app1", node)
		require.Equal(t, 350*time.Millisecond, took, "with a patience of three times what is usual by now")
		require.InDelta(t, 1, s.turns[readKey].Weight(1), 0)
	})
}

// One that is slow, and not too slow, has few reads, and its share again as soon
// as it is quick.
func TestASlowStandbyHasFewReads(t *testing.T) {
	inTrio(t, func(t *testing.T, s *trio) {
		s.replicas["app3"].behaves(s.replicas["app3"].after(40 * time.Millisecond))
		s.shares(300)
		counts := s.shares(300)
		require.InDelta(t, 20, counts["app3"], 5)
		require.InDelta(t, counts["app1"], counts["app2"], 2)
		s.replicas["app3"].behaves(nil)
		s.shares(2000)
		require.Equal(t, alike(100), s.shares(300))
	})
}

// Who was asked first may still be the first to answer.
func TestTheFirstAnswerCounts(t *testing.T) {
	inTrio(t, func(t *testing.T, s *trio) {
		late := &ended{}
		s.replicas["app1"].behaves(func(ctx context.Context) (*link.Response, error) {
			time.Sleep(30 * time.Millisecond) // and takes no notice of the end
			res := answerOf("app1", http.StatusOK)
			res.Rest = late
			return res, nil
		})
		s.replicas["app2"].behaves(s.replicas["app2"].after(60 * time.Millisecond))
		node, _ := s.read()
		require.Equal(t, "app1", node, "its turn")
		late.closed = false
		node, took := s.read()
		require.Equal(t, "app2", node)
		require.Equal(t, 80*time.Millisecond, took, "nothing is left behind")
		require.True(t, late.closed, "the other answer is ended")
		require.InDelta(t, 0, testutil.ToFloat64(s.measures.resent.WithLabelValues("app2")), 0)
	})
}

// Whoever leaves the set is out at once: what is under way is asked elsewhere.
func TestWhoLeavesTheSetIsOut(t *testing.T) {
	for name, leave := range map[string]func(d *directory){
		"removed":   func(d *directory) { d.inSync = []string{"app3"} },
		"new epoch": func(d *directory) { d.epoch++ },
		"moved":     func(d *directory) { d.nodes["app2"] = "app3" },
	} {
		t.Run(name, func(t *testing.T) {
			inTrio(t, func(t *testing.T, s *trio) {
				frozen := s.replicas["app2"]
				frozen.behaves(frozen.after(time.Hour))
				s.read()
				var wait sync.WaitGroup
				wait.Go(func() {
					node, took := s.read()
					require.Equal(t, "app1", node)
					require.Equal(t, 6*time.Millisecond, took)
				})
				time.Sleep(5 * time.Millisecond)
				s.directory.change(leave)
				synctest.Wait()
				frozen.behaves(nil)
				wait.Wait()
			})
		})
	}
}

func TestWhoStaysInTheSetGoesOn(t *testing.T) {
	inTrio(t, func(t *testing.T, s *trio) {
		s.read()
		s.read()
		s.replicas["app3"].behaves(s.replicas["app3"].after(20 * time.Millisecond))
		var wait sync.WaitGroup
		wait.Go(func() {
			node, took := s.read()
			require.Equal(t, "app3", node)
			require.Equal(t, 20*time.Millisecond, took)
		})
		synctest.Wait()
		s.directory.change(func(d *directory) { d.inSync = []string{"app3"} })
		wait.Wait()
		require.InDelta(t, 0, testutil.ToFloat64(s.measures.resent.WithLabelValues("app3")), 0)
	})
}

func TestWhoComesIntoTheSetIsAsked(t *testing.T) {
	inTrio(t, func(t *testing.T, s *trio) {
		s.directory.change(func(d *directory) { d.inSync = nil })
		synctest.Wait()
		require.Equal(t, map[string]int{"app1": 30}, s.shares(30))
		s.directory.change(func(d *directory) { d.inSync = []string{"app3"} })
		synctest.Wait()
		require.Equal(t, map[string]int{"app1": 15, "app3": 15}, s.shares(30))
	})
}

// Other news of the directory does not disturb anybody.
func TestTheSameSetAgain(t *testing.T) {
	inTrio(t, func(t *testing.T, s *trio) {
		s.read()
		var wait sync.WaitGroup
		wait.Go(func() { s.read() })
		synctest.Wait()
		s.directory.change(func(*directory) {})
		wait.Wait()
		node, _ := s.read()
		require.Equal(t, "app3", node, "the turns go on")
		require.EqualValues(t, 1, s.replicas["app1"].asked.Load(), "the read at app2 went on")
		require.Equal(t, alike(33), s.shares(99))
	})
}

// The hold is for all of a read, whoever was asked first.
func TestTheHoldIsForTheWholeRead(t *testing.T) {
	inTrio(t, func(t *testing.T, s *trio) {
		s.read()
		s.replicas["app1"].behaves(func(ctx context.Context) (*link.Response, error) {
			<-ctx.Done()
			return nil, errors.New("no primary")
		})
		s.replicas["app2"].behaves(s.replicas["app2"].after(time.Hour))
		began := time.Now()
		_, err := s.do(t.Context(), readKey, &link.Request{})
		require.ErrorContains(t, err, "no primary")
		require.Equal(t, holdOfTrio, time.Since(began))
	})
}

// A hold that is changed is for the reads that come later.
func TestTheHoldIsThatOfTheBeginning(t *testing.T) {
	inTrio(t, func(t *testing.T, s *trio) {
		var hold atomic.Int64
		hold.Store(int64(holdOfTrio))
		s.hold = func() time.Duration { return time.Duration(hold.Load()) }
		s.read()
		s.replicas["app2"].behaves(func(context.Context) (*link.Response, error) {
			time.Sleep(40 * time.Millisecond)
			hold.Store(int64(10 * time.Millisecond))
			return nil, link.ErrLost
		})
		node, took := s.read()
		require.Equal(t, "app1", node)
		require.Equal(t, 41*time.Millisecond, took)
	})
}

// A caller who goes away says nothing of the standby.
func TestACallerGoesAway(t *testing.T) {
	inTrio(t, func(t *testing.T, s *trio) {
		s.read()
		s.replicas["app2"].behaves(s.replicas["app2"].after(20 * time.Millisecond))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := s.do(ctx, readKey, &link.Request{})
		require.Error(t, err)
		s.replicas["app2"].behaves(nil)
		require.Equal(t, alike(10), s.shares(30))
		require.InDelta(t, 0, testutil.ToFloat64(s.measures.resent.WithLabelValues("app2")), 0)
	})
}

// A primary that does not answer is the courier's affair: its turn stays.
func TestThePrimaryDoesNotRest(t *testing.T) {
	inTrio(t, func(t *testing.T, s *trio) {
		s.replicas["app1"].behaves(func(context.Context) (*link.Response, error) { return nil, errors.New("stopping") })
		failed := 0
		for range 30 {
			if _, err := s.do(t.Context(), readKey, &link.Request{}); err != nil {
				failed++
			}
		}
		require.Equal(t, 10, failed)
	})
}

func TestWeightsAreShown(t *testing.T) {
	inTrio(t, func(t *testing.T, s *trio) {
		s.replicas["app2"].behaves(func(context.Context) (*link.Response, error) { return nil, link.ErrLost })
		s.shares(3)
		weights := func(node string) (of []float64) {
			all, err := s.registry.Gather()
			require.NoError(t, err)
			for _, family := range all {
				for _, m := range family.GetMetric() {
					if family.GetName() == "understudy_proxy_read_weight" && m.GetLabel()[0].GetValue() == node {
						of = append(of, m.GetGauge().GetValue())
					}
				}
			}
			return of
		}
		require.Equal(t, []float64{0, 1, 1}, weights("app2"), "of keys, lists and states")
		require.Equal(t, []float64{1, 1, 1}, weights("app3"))
		s.on.Store(false)
		require.Empty(t, weights("app3"))
	})
}

func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		method, target string
		kind           readKind
		read           bool
	}{
		{"GET", "/v1/kv/a", readKey, true},
		{"HEAD", "/v1/kv/a%2fb", readKey, true},
		{"GET", "/v1/kv", readList, true},
		{"GET", "/v1/kv/?prefix=a", readList, true},
		{"GET", "/v1/state", readState, true},
		{"GET", "/v1/watch", 0, false},
		{"GET", "/v1/kvx", 0, false},
		{"GET", "/status", 0, false},
		{"PUT", "/v1/kv/a", 0, false},
		{"DELETE", "/v1/kv/a", 0, false},
		{"PATCH", "/v1/state", 0, false},
	} {
		kind, read := kindOf(httptest.NewRequestWithContext(t.Context(), c.method, c.target, nil))
		require.Equal(t, c.read, read, c.target)
		require.Equal(t, c.kind, kind, c.target)
	}
}

// named starts a node that puts its name on its answers.
func named(t *testing.T, name string, asked *atomic.Int64) string {
	return node(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set(wire.HeaderNode, name)
		if name == "app2" && r.Method != http.MethodGet {
			problem.Write(w, problem.Errorf(problem.NotPrimary, "no"))
			return
		}
		_, _ = io.WriteString(w, name)
	})
}

// Through the whole proxy: only reads are spread, only while the settings say so,
// and the header says who answered.
func TestSpreadThroughTheProxy(t *testing.T) {
	var primary, standby atomic.Int64
	s := newSetup(t, 0, named(t, "app1", &primary), named(t, "app2", &standby))
	s.change(func(d *directory) { d.inSync = []string{"app2"} })
	reads := func(path string, n int) map[string]int {
		counts := map[string]int{}
		for range n {
			a := s.do(t, "GET", path, nil)
			require.Equal(t, http.StatusOK, a.status)
			require.Equal(t, a.body, a.header.Get(wire.HeaderNode))
			counts[a.body]++
		}
		return counts
	}
	require.Equal(t, map[string]int{"app1": 10}, reads("/v1/kv/k", 10))
	s.proxy.SetReads(protocol.ReadsSpread)
	require.Eventually(t, func() bool { return s.places() == 2 }, 5*time.Second, time.Millisecond)
	s.waitLong()
	for _, path := range []string{"/v1/kv/k", "/v1/kv?prefix=k", "/v1/state"} {
		require.InDelta(t, 5, reads(path, 10)["app2"], 1, path)
	}
	for range 10 {
		require.Equal(t, "app1", s.do(t, "PUT", "/v1/kv/k", strings.NewReader("v")).body)
		require.Equal(t, "app1", s.do(t, "GET", "/v1/state?from=primary", nil).body)
	}
	s.proxy.SetReads(protocol.ReadsPrimary)
	before := standby.Load()
	require.Equal(t, map[string]int{"app1": 10}, reads("/v1/kv/k", 10))
	require.Equal(t, before, standby.Load())
	require.GreaterOrEqual(t, testutil.ToFloat64(s.proxy.reads.reads.WithLabelValues("app2")), 12.0)
}

// Without a primary reads wait for it, wherever they would go.
func TestSpreadWaitsForAPrimary(t *testing.T) {
	var primary, standby atomic.Int64
	s := newSetup(t, 50*time.Millisecond, "127.0.0.1:1", named(t, "app2", &standby))
	s.proxy.SetReads(protocol.ReadsSpread)
	s.change(func(d *directory) { d.inSync = []string{"app2"} })
	for range 4 {
		s.do(t, "GET", "/v1/kv/k", nil).requireProblem(t, problem.NoPrimary, "waited for ")
	}
	require.Zero(t, standby.Load())
	s.change(func(d *directory) { d.nodes["app1"], d.epoch = named(t, "app1", &primary), 2 })
	require.Eventually(t, func() bool {
		a, err := s.try(t.Context(), "GET", "/v1/kv/k", nil)
		return err == nil && a.status == http.StatusOK && standby.Load() > 0
	}, 5*time.Second, time.Millisecond)
}
