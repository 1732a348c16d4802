package requestid

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

// The lowest that an id tells is the lowest serial of its session that was
// neither answered nor renewed, whatever the order of things.
func TestSourceAgainstAModel(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := NewSource()
		type held struct {
			ticket *Ticket
			id     ID
		}
		var open []held
		unanswered := map[Session]map[uint64]bool{}
		retired := map[Session]bool{}
		given := map[string]bool{}
		take := func(tk *Ticket) {
			id := tk.ID()
			require.False(t, given[tk.Key()], "an id is given once")
			require.False(t, retired[id.Session], "nothing is added to a session that was left")
			given[tk.Key()] = true
			if unanswered[id.Session] == nil {
				unanswered[id.Session] = map[uint64]bool{}
			}
			unanswered[id.Session][id.Serial] = true
			open = append(open, held{tk, id})
		}
		for range 500 {
			switch n := rng.IntN(20); {
			case n < 8:
				take(s.Next())
			case n == 8:
				s.Saw(protocol.Seq(rng.IntN(1000)))
			case len(open) > 0:
				i := rng.IntN(len(open))
				tk, id := open[i].ticket, open[i].id
				open = slices.Delete(open, i, i+1)
				id.Lowest = least(unanswered[id.Session])
				require.Equal(t, id, tk.ID())
				switch {
				case n < 16:
					tk.Done()
					delete(unanswered[id.Session], id.Serial)
				case n < 18:
					tk.Abandon() // it stays unanswered for ever
					retired[id.Session] = true
				default:
					delete(unanswered[id.Session], id.Serial)
					retired[id.Session] = true
					take(tk.Renew())
				}
				tk.Done() // what comes after the end is ignored
			}
		}
	}
}

func least(serials map[uint64]bool) uint64 {
	out := uint64(1<<64 - 1)
	for n := range serials {
		out = min(out, n)
	}
	return out
}

func TestBirths(t *testing.T) {
	s := NewSource()
	first := s.Next()
	require.Zero(t, first.ID().Birth, "nothing was seen yet")
	s.Saw(100)
	second := s.Next()
	require.Zero(t, second.ID().Birth, "the birth of a session does not change")
	third := second.Renew()
	require.Equal(t, protocol.Seq(100), third.ID().Birth)
	require.Equal(t, uint64(1), third.ID().Serial)
	s.Saw(40)
	require.Equal(t, third.ID().Session, first.Renew().ID().Session, "the session that was left is renewed once")
	require.Equal(t, protocol.Seq(40), third.Renew().ID().Birth, "positions may go back")
}

// One request that stays unanswered must not fill the memory of its session.
func TestSpanIsBounded(t *testing.T) {
	s := NewSource()
	stuck := s.Next()
	sessions := map[Session]int{}
	for range 2 * maxSpan {
		tk := s.Next()
		sessions[tk.ID().Session]++
		tk.Done()
	}
	require.Equal(t, maxSpan-1, sessions[stuck.ID().Session])
	require.Len(t, sessions, 2, "the second session has nobody who is stuck")
	require.Equal(t, uint64(1), stuck.ID().Lowest)
}

func TestSourceFromManyGoroutines(t *testing.T) {
	s := NewSource()
	var mu sync.Mutex // guards keys
	keys := map[string]bool{}
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			for i := range 200 {
				tk := s.Next()
				id := tk.ID()
				if id.Lowest == 0 || id.Lowest > id.Serial {
					t.Errorf("%+v", id)
				}
				s.Saw(protocol.Seq(i))
				mu.Lock()
				if keys[tk.Key()] {
					t.Error("an id was given twice")
				}
				keys[tk.Key()] = true
				mu.Unlock()
				switch (i + worker) % 50 {
				case 0:
					tk.Abandon()
				case 1:
					tk.Renew().Done()
				default:
					tk.Done()
				}
			}
		})
	}
	all.Wait()
	require.Len(t, keys, 16*200)
}

func BenchmarkTicket(b *testing.B) {
	s := NewSource()
	b.ReportAllocs()
	for b.Loop() {
		tk := s.Next()
		_, _ = tk.ID().Header(), tk.Key()
		tk.Done()
	}
}

func BenchmarkParseHeader(b *testing.B) {
	text := someID.Header()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseHeader(text); err != nil {
			b.Fatal(err)
		}
	}
}
