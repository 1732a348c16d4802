package history

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tell builds the history of key k out of lines such as "w1 call write 5",
// "w1 done": a name, and what happens to it.
func tell(t *testing.T, begin string, lines ...string) *History {
	t.Helper()
	h := New(map[string]string{"k": begin})
	calls := map[string]*Call{}
	for _, line := range lines {
		f := strings.Fields(line + " . .")
		who, what, arg, second := f[0], f[1], strings.Trim(f[2], "."), strings.Trim(f[3], ".")
		switch what {
		case "reads":
			calls[who] = h.Begin(Operation{Kind: Read, Key: "k"})
		case "writes":
			calls[who] = h.Begin(Operation{Kind: Write, Key: "k", Value: arg})
		case "swaps":
			calls[who] = h.Begin(Operation{Kind: Swap, Key: "k", Old: arg, Value: second})
		case "sees":
			calls[who].Shown(arg)
		case "done":
			calls[who].Done()
		case "failed":
			calls[who].Failed()
		case "withdrawn":
			calls[who].Withdrawn()
		default:
			t.Fatalf("%q says nothing", line)
		}
	}
	return h
}

func TestHistories(t *testing.T) {
	for name, test := range map[string]struct {
		begin string
		lines []string
		wrong string // part of the finding; "" for none
	}{
		"nothing":                      {},
		"a write, read":                {lines: []string{"a writes 1", "a done", "b reads", "b sees 1"}},
		"the first value":              {begin: "0", lines: []string{"b reads", "b sees 0"}},
		"another first value":          {begin: "0", lines: []string{"b reads", "b sees"}, wrong: "read nothing [1-2]"},
		"a stale read":                 {lines: []string{"a writes 1", "a done", "a writes 2", "a done", "b reads", "b sees 1"}, wrong: "after write 1 [1-2], write 2 [3-4], nothing fits read 1 [5-6]"},
		"a lost write":                 {lines: []string{"a writes 1", "a done", "b reads", "b sees"}, wrong: "nothing fits"},
		"a read of what nobody wrote":  {lines: []string{"b reads", "b sees 7"}, wrong: "read 7"},
		"a read beside a write, old":   {lines: []string{"a writes 1", "b reads", "b sees", "a done"}},
		"a read beside a write, new":   {lines: []string{"a writes 1", "b reads", "b sees 1", "a done"}},
		"new and then old":             {lines: []string{"a writes 1", "b reads", "b sees 1", "c reads", "c sees", "a done"}, wrong: "nothing fits"},
		"unknown, and never":           {lines: []string{"a writes 1", "b reads", "b sees", "c reads", "c sees"}},
		"unknown, and later":           {lines: []string{"a writes 1", "b reads", "b sees", "c reads", "c sees 1"}},
		"unknown, seen and gone":       {lines: []string{"a writes 1", "b reads", "b sees 1", "c reads", "c sees"}, wrong: "nothing fits"},
		"unknown, and above a later":   {lines: []string{"a writes 1", "b writes 2", "b done", "c reads", "c sees 1"}},
		"unknown, back from the dead":  {lines: []string{"a writes 1", "b reads", "b sees 1", "b writes 2", "b done", "c reads", "c sees 1"}, wrong: "read 1"},
		"seen before it was asked for": {lines: []string{"b reads", "b sees 1", "a writes 1"}, wrong: "read 1"},
		"withdrawn, and seen":          {lines: []string{"a writes 1", "a withdrawn", "b reads", "b sees 1"}, wrong: "read 1"},
		"withdrawn":                    {lines: []string{"a writes 1", "a withdrawn", "b reads", "b sees"}},
		"a swap":                       {lines: []string{"a swaps . 1", "a done", "a swaps 1 2", "a done", "b reads", "b sees 2"}},
		"a swap of what is not there":  {lines: []string{"a swaps 3 1", "a done"}, wrong: "swap 3 for 1"},
		"a swap refused for nothing":   {lines: []string{"a swaps . 1", "a failed"}, wrong: "swap nothing for 1, refused"},
		"a swap refused":               {lines: []string{"a swaps 3 1", "a failed", "b reads", "b sees"}},
		"a swap done twice":            {lines: []string{"a writes 1", "a done", "b swaps 1 2", "b done", "c swaps 1 3", "c done"}, wrong: "swap 1 for"},
		"an unknown swap, sent again":  {lines: []string{"a swaps . 1", "b swaps . 1", "b failed", "c reads", "c sees 1"}},
		"unknown, and in the way":      {begin: "0", lines: []string{"a writes 1", "b swaps 0 2", "b failed"}},
		"nothing in the way":           {begin: "0", lines: []string{"b swaps 0 2", "b failed", "a writes 1"}, wrong: "swap 0 for 2, refused"},
		"unknown swaps, one after one": {lines: []string{"a swaps . 1", "b swaps 1 2", "b done", "c reads", "c sees 2"}},
		"swaps of unknown outcome":     {lines: []string{"a swaps . 1", "b swaps . 1", "c reads", "c sees", "d reads", "d sees 1", "e reads", "e sees"}, wrong: "nothing fits"},
		"a read that never returns":    {lines: []string{"a writes 1", "a done", "b reads"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := tell(t, test.begin, test.lines...).Judge(0)
			require.Empty(t, v.Undecided)
			if test.wrong == "" {
				require.Empty(t, v.Broken)
				return
			}
			require.Len(t, v.Broken, 1)
			require.Contains(t, v.Broken[0], test.wrong)
		})
	}
}

func TestKeysAreJudgedApart(t *testing.T) {
	h := New(nil)
	for _, key := range []string{"c", "a", "b"} {
		h.Begin(Operation{Kind: Write, Key: key, Value: "1"}).Done()
		h.Begin(Operation{Kind: Read, Key: key}).Shown(map[string]string{"b": "1"}[key])
	}
	require.ElementsMatch(t, []string{"a", "b", "c"}, h.Keys())
	v := h.Judge(0)
	require.Equal(t, 3, v.Keys)
	require.Equal(t, 6, v.Operations)
	require.Len(t, v.Broken, 2)
	require.True(t, strings.HasPrefix(v.Broken[0], "a: "), v.Broken[0])
	require.True(t, strings.HasPrefix(v.Broken[1], "c: "), v.Broken[1])
}

// Many unknown outcomes are judged quickly, where values tell them apart.
func TestManyUnknownOutcomes(t *testing.T) {
	for _, stale := range []bool{false, true} {
		h := New(nil)
		is := ""
		for i := range 2000 {
			value := fmt.Sprint(i)
			c := h.Begin(Operation{Kind: Write, Key: "k", Value: value})
			switch i % 4 {
			case 0: // unknown, and done
				is = value
			case 1: // unknown, and never done
			default:
				c.Done()
				is = value
			}
			h.Begin(Operation{Kind: Read, Key: "k"}).Shown(is)
		}
		if stale {
			h.Begin(Operation{Kind: Read, Key: "k"}).Shown("1990")
		}
		began := time.Now()
		v := h.Judge(10 * time.Second)
		require.Empty(t, v.Undecided)
		require.Equal(t, stale, len(v.Broken) == 1, v.Broken)
		require.Less(t, time.Since(began), 5*time.Second)
	}
}

// A judgement that takes too long says so, and is no finding.
func TestUndecided(t *testing.T) {
	h := New(nil)
	var calls []*Call
	for range 200 { // the same two values: nothing tells the writes apart
		calls = append(calls, h.Begin(Operation{Kind: Write, Key: "k", Value: "1"}), h.Begin(Operation{Kind: Write, Key: "k", Value: "2"}))
	}
	for i := range 100 {
		h.Begin(Operation{Kind: Read, Key: "k"}).Shown(fmt.Sprint(1 + i%2))
	}
	h.Begin(Operation{Kind: Read, Key: "k"}).Shown("3")
	for _, c := range calls {
		c.Done()
	}
	v := h.Judge(20 * time.Millisecond)
	require.Empty(t, v.Broken)
	require.Equal(t, []string{"k"}, v.Undecided)
}

// A real map under a lock is linearizable, however its callers meet.
func TestConcurrentCallers(t *testing.T) {
	h := New(nil)
	var mu sync.Mutex
	is := ""
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			for n := range 200 {
				value := fmt.Sprintf("%d-%d", i, n)
				switch rng.IntN(4) {
				case 0, 1:
					c := h.Begin(Operation{Kind: Read, Key: "k"})
					mu.Lock()
					shown := is
					mu.Unlock()
					c.Shown(shown)
				case 2:
					c := h.Begin(Operation{Kind: Write, Key: "k", Value: value})
					mu.Lock()
					is = value
					mu.Unlock()
					if rng.IntN(20) > 0 { // each open end doubles what is to be searched
						c.Done()
					}
				case 3:
					mu.Lock()
					old := is
					mu.Unlock()
					c := h.Begin(Operation{Kind: Swap, Key: "k", Old: old, Value: value})
					mu.Lock()
					fits := is == old
					if fits {
						is = value
					}
					mu.Unlock()
					if fits {
						c.Done()
					} else {
						c.Failed()
					}
				}
			}
		})
	}
	callers.Wait()
	require.Equal(t, 1600, h.Len())
	v := h.Judge(20 * time.Second)
	require.Empty(t, v.Broken)
	require.Empty(t, v.Undecided)
	require.Equal(t, 1, v.Keys)
}
