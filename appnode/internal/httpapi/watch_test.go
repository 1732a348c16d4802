package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

func TestWatchBeginsWithTheState(t *testing.T) {
	ops := []store.Op{set("b", "\xff"), set("a/1", "x"), set("a/2", "y"), set("c", "")}
	inWatch(t, ops, func(t *testing.T, s *watchScene) {
		r := s.open("?prefix=a/")
		defer r.close()
		require.Equal(t, http.StatusOK, r.answer.StatusCode)
		require.Equal(t, "text/event-stream", r.answer.Header.Get("Content-Type"))
		require.Equal(t, "no-cache", r.answer.Header.Get("Cache-Control"))
		require.Equal(t, "app1", r.answer.Header.Get(wire.HeaderNode))
		require.Equal(t, "3.4", r.answer.Header.Get(wire.HeaderPosition))
		e, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, "retry: 100\n\n", string(e.Raw))
		require.Equal(t, `3.4 snapshot {"first":true,"last":true,"items":[{"key":"a/1","value":"x","etag":"\"3.2\""},{"key":"a/2","value":"y","etag":"\"3.3\""}]}`, r.event())

		s.commit(set("b", "z"))
		s.commit(set("a/1", "<1>"), set("b", "3"), store.Op{Key: "a/2", Delete: true}, set("a/3", "\xfe"))
		require.Equal(t, `3.6 batch {"position":"3.6","changes":[{"key":"a/1","value":"\u003c1\u003e"},{"key":"a/2","deleted":true},{"key":"a/3","base64":"/g=="}]}`, r.event())
		require.Equal(t, []fakeRead{{}}, s.reads, "the state is read as any read is")
	})
}

func TestWatchOfAnEmptyState(t *testing.T) {
	inWatch(t, nil, func(t *testing.T, s *watchScene) {
		r := s.open("", "Understudy-Consistency: stale")
		defer r.close()
		r.event()
		require.Equal(t, `0.0 snapshot {"first":true,"last":true,"items":[]}`, r.event())
		s.commit(set("k", "v"))
		require.Equal(t, `3.1 batch {"position":"3.1","changes":[{"key":"k","value":"v"}]}`, r.event())
		require.Equal(t, []fakeRead{{level: store.Stale}}, s.reads)
	})
}

// Only the last page has an id: who saw less begins anew.
func TestLargeStatesComeInPages(t *testing.T) {
	var ops []store.Op
	for i := range 50 {
		ops = append(ops, set(fmt.Sprintf("k/%02d", i), strings.Repeat("v", 10<<10)))
	}
	inWatch(t, ops, func(t *testing.T, s *watchScene) {
		r := s.open("?prefix=k")
		defer r.close()
		r.event()
		var keys []string
		for pages := 1; ; pages++ {
			e, err := r.Next()
			require.NoError(t, err)
			require.Equal(t, "snapshot", e.Name)
			var page wire.WatchSnapshot
			require.NoError(t, json.Unmarshal(e.Data, &page))
			require.LessOrEqual(t, len(page.Items), 7)
			require.NotEmpty(t, page.Items)
			for _, it := range page.Items {
				keys = append(keys, it.Key)
			}
			require.Equal(t, pages == 1, page.First)
			require.Equal(t, page.Last, e.HasID)
			if page.Last {
				require.Equal(t, "3.50", e.ID)
				require.Equal(t, 8, pages)
				break
			}
		}
		require.Len(t, keys, 50)
		require.IsIncreasing(t, keys)
		s.commit(set("k/x", "later"))
		require.Contains(t, r.event(), "3.51 batch")
	})
}

func TestWatchGoesOnFromAPosition(t *testing.T) {
	inWatch(t, []store.Op{set("a", "1"), set("b", "2"), set("c", "3")}, func(t *testing.T, s *watchScene) {
		for query, header := range map[string]string{"?since=3.2": "Accept: text/event-stream", "?since=3.1": "Last-Event-ID: 3.2", "?prefix=": "Last-Event-Id: 3.2", "?since=3.2&prefix=": "Last-Event-ID: "} {
			r := s.open(query, header)
			require.Equal(t, http.StatusOK, r.answer.StatusCode)
			require.Equal(t, "3.2", r.answer.Header.Get(wire.HeaderPosition))
			r.event()
			require.Equal(t, `3.3 batch {"position":"3.3","changes":[{"key":"c","value":"3"}]}`, r.event())
			r.close()
		}
		require.Equal(t, []protocol.Position{{Epoch: 3, Seq: 2}, {Epoch: 3, Seq: 2}, {Epoch: 3, Seq: 2}, {Epoch: 3, Seq: 2}}, s.feed.since)
		require.Empty(t, s.reads)
	})
}

func TestWatchRefusals(t *testing.T) {
	n := newNode(t)
	for target, sentence := range map[string]string{
		"?since=":              `since: position "" is not of the form epoch.seq`,
		"?since=7":             `since: position "7" is not of the form epoch.seq`,
		"?since=1.2&since=1.3": "the query gives since more than once",
		"?from=app2":           `the query has a parameter "from": known here is prefix, since`,
		"?prefix=%ff":          "prefix is not UTF-8 of at most 1024 bytes",
		"?prefix=" + url.QueryEscape(strings.Repeat("p", 1025)): "prefix is not UTF-8 of at most 1024 bytes",
	} {
		refused(t, n.do("GET", "/v1/watch"+target, ""), http.StatusBadRequest, problem.BadRequest, sentence)
	}
	refused(t, n.do("GET", "/v1/watch", "", "Last-Event-ID: x"), http.StatusBadRequest, problem.BadRequest, `Last-Event-ID: position "x" is not`)
	refused(t, n.do("GET", "/v1/watch", "", "Last-Event-ID: 1.2", "Last-Event-ID: 1.3"), http.StatusBadRequest, problem.BadRequest, "Last-Event-ID")
	refused(t, n.do("GET", "/v1/watch", "", "Understudy-Consistency: x"), http.StatusBadRequest, problem.BadRequest, "Understudy-Consistency")
	refused(t, n.do("POST", "/v1/watch", ""), http.StatusMethodNotAllowed, problem.BadRequest, "method POST")

	for code, status := range map[problem.Code]int{problem.Compacted: http.StatusGone, problem.HistoryLost: http.StatusConflict, problem.Overloaded: http.StatusServiceUnavailable} {
		n.feed.refusal = problem.Errorf(code, "so it is")
		refused(t, n.do("GET", "/v1/watch?since=3.1", ""), status, code, "so it is")
		refused(t, n.do("GET", "/v1/watch", ""), status, code, "so it is")
	}
	n.becomeStandby()
	w := n.do("GET", "/v1/watch?prefix=a", "")
	require.Equal(t, http.StatusTemporaryRedirect, w.Code)
	require.Equal(t, "http://10.0.0.2:8082/v1/watch?prefix=a", w.Header().Get("Location"))
	require.Zero(t, n.feed.watchers())
}

func TestHeadOfAWatch(t *testing.T) {
	n := newNode(t, set("a", "1"))
	w := n.do("HEAD", "/v1/watch?since=3.1", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
	require.Empty(t, w.Body.String())
	require.Zero(t, n.feed.watchers())
	n.feed.refusal = problem.Errorf(problem.Compacted, "gone")
	require.Equal(t, http.StatusGone, n.do("HEAD", "/v1/watch?since=3.1", "").Code)
}

// A reader whose keys are quiet keeps up with the positions, and one of a quiet
// group hears that the node lives.
func TestQuietWatch(t *testing.T) {
	inWatch(t, []store.Op{set("a", "1")}, func(t *testing.T, s *watchScene) {
		r := s.open("?since=3.1&prefix=a")
		defer r.close()
		r.event()
		began := time.Now()
		require.Equal(t, ": nothing new", r.event())
		require.Equal(t, 10*time.Second, time.Since(began))
		time.Sleep(100 * time.Millisecond)
		began = time.Now()
		go func() {
			for range 35 {
				s.commit(set("b", "x"))
				time.Sleep(100 * time.Millisecond)
			}
		}()
		var got []string
		for range 4 {
			got = append(got, r.event())
		}
		require.Equal(t, "3.36", got[3], "no event, but an id: %v", got)
		require.Less(t, time.Since(began), 5100*time.Millisecond)
		s.commit(set("a", "2"))
		require.Equal(t, `3.37 batch {"position":"3.37","changes":[{"key":"a","value":"2"}]}`, r.event())
	})
}

func TestAWatchThatEndsSaysWhy(t *testing.T) {
	for _, err := range []error{problem.Errorf(problem.Compacted, "the changes are gone"), errors.New("read: input/output error")} {
		inWatch(t, nil, func(t *testing.T, s *watchScene) {
			r := s.open("?since=0.0")
			defer r.close()
			r.event()
			s.feed.fail(err)
			e, readErr := r.Next()
			require.NoError(t, readErr)
			require.Equal(t, "error", e.Name)
			require.False(t, e.HasID)
			var body problem.Body
			require.NoError(t, json.Unmarshal(e.Data, &body))
			require.Equal(t, problem.BodyOf(err).Code, body.Code)
			require.Equal(t, err.Error(), body.Detail)
			require.Equal(t, problem.CodeOf(err).Meaning().Status, body.Status)
			_, readErr = r.Next()
			require.Equal(t, io.EOF, readErr)
		})
	}
}

func TestAReaderThatGoesIsForgotten(t *testing.T) {
	inWatch(t, nil, func(t *testing.T, s *watchScene) {
		r := s.open("?since=0.0")
		r.event()
		require.Equal(t, 1, s.feed.watchers())
		r.close()
		synctest.Wait()
		require.Zero(t, s.feed.watchers())
	})
}
