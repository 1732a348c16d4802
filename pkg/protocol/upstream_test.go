package protocol

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUpstream(t *testing.T) {
	rec := GroupRecord{Primary: ReplicaBoot{UUID: "c"}, InSync: []UUID{"e", "c", "a", "d"}, Members: []UUID{"a", "b", "c", "d", "e"}}
	for me, want := range map[UUID]UUID{"a": "c", "d": "a", "e": "d", "b": "c", "x": "c"} {
		require.Equal(t, want, rec.Upstream(me), "of %s", me)
	}
	rec.Leaving = []UUID{"d"}
	require.Equal(t, UUID("c"), rec.Upstream("d"), "whoever leaves stands behind nobody")
	require.Equal(t, UUID("a"), rec.Upstream("e"), "and nobody behind it")
}

// Whoever follows the upstreams of a record comes to the primary, past each
// standby at most once, and no two standbys share one.
func TestUpstreamsMakeARow(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		rec := GroupRecord{Primary: ReplicaBoot{UUID: UUID(fmt.Sprint(rng.IntN(9)))}}
		for i := range 9 {
			u := UUID(fmt.Sprint(i))
			rec.Members = append(rec.Members, u)
			if u == rec.Primary.UUID || rng.IntN(3) > 0 {
				rec.InSync = append(rec.InSync, u)
			}
			if rng.IntN(6) == 0 {
				rec.Leaving = append(rec.Leaving, u)
			}
		}
		rng.Shuffle(len(rec.InSync), func(i, j int) { rec.InSync[i], rec.InSync[j] = rec.InSync[j], rec.InSync[i] })
		behind := map[UUID]int{}
		for _, me := range rec.Members {
			if me == rec.Primary.UUID {
				continue
			}
			if up := rec.Upstream(me); up != rec.Primary.UUID {
				behind[up]++
				require.Equal(t, 1, behind[up], "seed %d: %+v", seed, rec)
			}
			at := me
			for range len(rec.Members) {
				at = rec.Upstream(at)
				if at == rec.Primary.UUID {
					break
				}
			}
			require.Equal(t, rec.Primary.UUID, at, "seed %d: %+v", seed, rec)
		}
	}
}
