package replica

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/memnet"
	"understudy.example/pkg/requestid"
)

// BenchmarkWrite measures what a request's id costs on the whole way of a write,
// over a network and disks in memory, which cost less than real ones.
func BenchmarkWrite(b *testing.B) {
	for _, writers := range []int{1, 64} {
		for _, kind := range []string{"none", "session", "key"} {
			b.Run(fmt.Sprintf("writers=%d/id=%s", writers, kind), func(b *testing.B) { benchWrite(b, writers, kind) })
		}
	}
}

func benchWrite(b *testing.B, writers int, kind string) {
	r := &rig{t: b, net: memnet.New(1), grow: 12}
	r.desk = newDesk(r)
	defer r.end()
	r.addMember("a")
	r.addMember("b")
	r.desk.promote("a")
	r.desk.waitInSync("a", "b")
	a := r.member("a").replica
	source := requestid.NewSource()
	source.Saw(1)
	value := []byte("a value of thirty-two bytes, yes")
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := w; i < b.N; i += writers {
				req, err := store.Put(fmt.Sprintf("user/%06d/name", i*7919%10_000), value, store.Cond{})
				require.NoError(b, err)
				switch kind {
				case "session":
					t := source.Next()
					_, err = a.Write(context.Background(), req.Named(t.ID(), uint64(i)))
					t.Done()
				case "key":
					_, err = a.Write(context.Background(), req.Named(requestid.ID{Key: "8e03978e-40d5-" + strconv.Itoa(i)}, uint64(i)))
				default:
					_, err = a.Write(context.Background(), req)
				}
				require.NoError(b, err)
			}
		})
	}
	all.Wait()
}
