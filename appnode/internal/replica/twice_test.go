package replica

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/requestid"
)

// counter is a client that counts up by compare-and-set, and sends every request
// at least twice, to whoever may be the primary, until one copy is answered.
type counter struct {
	r      *rig
	rng    *rand.Rand
	source *requestid.Source
	done   int // increments that were acknowledged
	copies sync.WaitGroup
}

// TestCountersWithEveryRequestSentTwice moves the primary back and forth under
// clients that count up by compare-and-set. Whatever is lost, late or doubled: a
// counter stands where its clients were told it does.
func TestCountersWithEveryRequestSentTwice(t *testing.T) {
	inTrio(t, func(t *testing.T, r *rig, a, b, c *member) {
		r.desk.settings.Hold = protocol.Duration(500 * time.Millisecond)
		r.desk.tellAll()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		source := requestid.NewSource()
		source.Saw(a.seq())
		var counters []*counter
		var clients sync.WaitGroup
		for i := range 8 {
			k := &counter{r: r, rng: rand.New(rand.NewPCG(uint64(i), 3)), source: source}
			counters = append(counters, k)
			clients.Go(func() {
				for ctx.Err() == nil && k.increment(fmt.Sprintf("counter-%d", i%4)) {
				}
			})
		}
		for _, next := range []string{"b", "c", "a", "b", "a", "c"} {
			time.Sleep(200 * time.Millisecond)
			old := r.byUUID(r.desk.record().Primary.UUID)
			r.net.CutBoth(old.name, next) // what is on its way between them is lost
			time.Sleep(20 * time.Millisecond)
			r.desk.promote(next)
			time.Sleep(20 * time.Millisecond)
			r.net.HealAll()
			r.desk.waitInSync("a", "b", "c")
		}
		time.Sleep(200 * time.Millisecond)
		cancel()
		clients.Wait()
		for _, k := range counters {
			k.copies.Wait()
		}
		require.False(t, t.Failed())
		total, done := 0, 0
		for i := range 4 {
			n, err := strconv.Atoi(c.has(fmt.Sprintf("counter-%d", i)))
			require.NoError(t, err)
			total += n
		}
		for _, k := range counters {
			done += k.done
		}
		require.Equal(t, done, total)
		require.Greater(t, done, 200)
	})
}

// increment counts up by one, or is told that another was faster. It returns
// false if it was told anything else, or nothing for too long.
func (k *counter) increment(key string) bool {
	value, cond := "1", store.Cond{NoneMatch: store.Tags{Given: true, Any: true}}
	e, ok := k.look(key)
	if !ok {
		k.r.t.Error("nobody can tell the counter")
		return false
	}
	if e != nil {
		n, _ := strconv.Atoi(e.Value)
		value, cond = strconv.Itoa(n+1), store.Cond{Match: store.Tags{Given: true, Positions: []protocol.Position{e.Position}}}
	}
	req, err := store.Put(key, []byte(value), cond)
	if err != nil {
		k.r.t.Error(err)
		return false
	}
	t := k.source.Next()
	out, ok := k.send(t, req)
	t.Done()
	if !ok {
		k.r.t.Error("a write was not answered")
		return false
	}
	if out.err == nil {
		k.source.Saw(out.View.Position().Seq)
		k.done++
	}
	return true
}

// look reads the newest value, from whoever can tell it.
func (k *counter) look(key string) (*store.Entry, bool) {
	for began := time.Now(); time.Since(began) < patience; time.Sleep(time.Millisecond) {
		m := k.r.members[k.rng.IntN(3)]
		if view, err := m.replica.Read(context.Background(), store.Linearizable, protocol.Position{}); err == nil {
			e, _ := view.Get(key)
			return e, true
		}
	}
	return nil, false
}

// send sends two copies at a time, at times to two members, until one of them is
// answered; the other goes on, and may come late.
func (k *counter) send(t *requestid.Ticket, req *store.Request) (outcome, bool) {
	answers := make(chan outcome, 1)
	for began := time.Now(); time.Since(began) < patience; {
		for range 2 {
			m := k.r.byUUID(k.r.desk.record().Primary.UUID)
			if k.rng.IntN(10) == 0 {
				m = k.r.members[k.rng.IntN(3)]
			}
			late := time.Duration(k.rng.IntN(20)) * time.Millisecond
			named := req.Named(t.ID(), 1)
			k.copies.Go(func() {
				time.Sleep(late)
				out, err := m.replica.Write(context.Background(), named)
				// All else says that this copy was not answered: the other was, or is
				// tried again.
				if code := problem.CodeOf(err); err == nil || code == problem.PreconditionFailed {
					select {
					case answers <- outcome{Outcome: out, err: err}:
					default:
					}
				} else if code == problem.IDReused {
					k.r.t.Error(err)
				}
			})
		}
		select {
		case out := <-answers:
			return out, true
		case <-time.After(30 * time.Millisecond):
		}
	}
	return outcome{}, false
}
