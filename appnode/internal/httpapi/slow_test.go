package httpapi

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// big is a value of so many KiB.
func big(kib int) string { return strings.Repeat("v", kib<<10) }

// cut reads on to the end of a stream and returns the code of its last word, and
// how many batches came before.
func (r *reading) cut() (code problem.Code, batches int) {
	r.t.Helper()
	for {
		e, err := r.Next()
		if err != nil {
			return code, batches
		}
		switch e.Name {
		case wire.EventBatch:
			batches++
		case wire.EventError:
			var body problem.Body
			require.NoError(r.t, json.Unmarshal(e.Data, &body))
			code = body.Code
		}
	}
}

func TestAReaderThatFallsBehindIsCut(t *testing.T) {
	inWatch(t, nil, func(t *testing.T, s *watchScene) {
		r := s.open("?since=0.0")
		defer r.close()
		r.event()
		s.commit(set("a", big(1000))) // more than the network holds
		synctest.Wait()
		for range 12 {
			s.commit(set("b", big(100)))
		}
		time.Sleep(5 * time.Second)
		code, batches := r.cut()
		require.Equal(t, problem.Overloaded, code)
		require.GreaterOrEqual(t, batches, 10)
		require.Less(t, batches, 13)
	})
}

// One event may be larger than what a reader may be behind, and so may be what is
// committed between two wake-ups.
func TestAReaderThatReadsIsNotCut(t *testing.T) {
	inWatch(t, nil, func(t *testing.T, s *watchScene) {
		s.feed.piece = 3
		r := s.open("?since=0.0")
		defer r.close()
		r.event()
		for range 2 {
			synctest.Wait()
			s.feed.sleep(true)
			s.commit(set("a", big(1000)), set("b", big(600)))
			for range 20 {
				s.commit(set("b", big(60)))
			}
			s.feed.sleep(false)
			for range 21 {
				require.Contains(t, r.event()[:12], "batch")
			}
		}
	})
}

// What was committed before it came is no fault of a reader.
func TestAReaderMayCatchUpSlowly(t *testing.T) {
	inWatch(t, nil, func(t *testing.T, s *watchScene) {
		for range 60 {
			s.commit(set("b", big(100)))
		}
		s.feed.piece = 1
		r := s.open("?since=0.0")
		defer r.close()
		r.event()
		for range 60 {
			require.Contains(t, r.event()[:12], "batch")
			s.commit(set("other", "x"))
			time.Sleep(time.Second)
		}
	})
}

func TestAReaderThatReadsNothingIsCut(t *testing.T) {
	inWatch(t, nil, func(t *testing.T, s *watchScene) {
		r := s.open("?since=0.0")
		defer r.close()
		r.event()
		s.commit(set("a", big(1000)))
		time.Sleep(pieceTimeout - time.Second)
		require.Equal(t, 1, s.feed.watchers())
		time.Sleep(2 * time.Second)
		require.Zero(t, s.feed.watchers())
		code, batches := r.cut()
		require.Empty(t, code, "there is no way to tell it")
		require.Zero(t, batches)
	})
}
