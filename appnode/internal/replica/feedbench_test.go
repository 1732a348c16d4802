package replica

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/memnet"
	"understudy.example/pkg/protocol"
)

// BenchmarkWatched measures what watchers whose keys are quiet cost the writers.
func BenchmarkWatched(b *testing.B) {
	for _, watchers := range []int{0, 1, 100, 1000} {
		b.Run(fmt.Sprintf("watchers=%d", watchers), func(b *testing.B) { benchWatched(b, watchers) })
	}
}

func benchWatched(b *testing.B, watchers int) {
	r := &rig{t: b, net: memnet.New(1), grow: 12}
	r.desk = newDesk(r)
	defer r.end()
	r.addMember("a")
	r.addMember("b")
	r.desk.promote("a")
	r.desk.waitInSync("a", "b")
	a := r.member("a").replica
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	for range watchers {
		w, err := a.Watch(ctx, protocol.Position{}, "quiet/")
		require.NoError(b, err)
		watching.Go(func() {
			defer w.Close()
			for ctx.Err() == nil {
				if _, _, _, err := w.Next(ctx, time.Second); err != nil {
					return
				}
			}
		})
	}
	defer watching.Wait()
	defer cancel()
	b.ResetTimer()
	var all sync.WaitGroup
	for w := range 64 {
		all.Go(func() {
			for i := w; i < b.N; i += 64 {
				req, err := store.Put(fmt.Sprintf("user/%06d/name", i*7919%10_000), []byte("a value of thirty-two bytes, yes"), store.Cond{})
				require.NoError(b, err)
				_, err = a.Write(context.Background(), req)
				require.NoError(b, err)
			}
		})
	}
	all.Wait()
	b.StopTimer()
}
