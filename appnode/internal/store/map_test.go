package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

func at(epoch protocol.Epoch, seq protocol.Seq) protocol.Position {
	return protocol.Position{Epoch: epoch, Seq: seq}
}

// set and del are ops.
func set(key, value string) Op { return Op{Key: key, Value: []byte(value)} }
func del(key string) Op        { return Op{Key: key, Delete: true} }

// apply applies ops as the next record of epoch 1.
func apply(t testing.TB, m *Map, ops ...Op) protocol.Position {
	t.Helper()
	pos := at(1, m.Position().Seq+1)
	require.NoError(t, m.ApplyBatch(pos, nil, AppendBatch(nil, int64(pos.Seq), ops)))
	return pos
}

// contents returns what a view holds.
func contents(v *View) map[string]Entry {
	out := map[string]Entry{}
	v.Ascend("", "", func(key string, e *Entry) bool {
		out[key] = *e
		return true
	})
	return out
}

func TestViewsNeverChange(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	m := NewMap()
	model := map[string]Entry{}
	type kept struct {
		view  *View
		model map[string]Entry
		bytes int64
	}
	var all []kept
	for range 400 {
		var ops []Op
		pos := at(1, m.Position().Seq+1)
		for range rng.IntN(20) {
			key := fmt.Sprintf("key%d", rng.IntN(300))
			if rng.IntN(3) == 0 {
				ops = append(ops, del(key))
				delete(model, key)
			} else {
				value := fmt.Sprint(rng.Uint64())
				ops = append(ops, set(key, value))
				model[key] = Entry{value, pos}
			}
		}
		apply(t, m, ops...)
		var bytes int64
		for key, e := range model {
			bytes += entrySize(len(key), len(e.Value))
		}
		all = append(all, kept{m.View(), maps.Clone(model), bytes})
		if rng.IntN(50) == 0 {
			m = m.Clone()
		}
	}
	for i, k := range all {
		require.Equal(t, k.model, contents(k.view), "view %d", i)
		require.Equal(t, k.bytes, k.view.Bytes())
		require.Equal(t, len(k.model), k.view.Len())
		require.Equal(t, at(1, protocol.Seq(i+1)), k.view.Position())
	}
}

func TestCloneChangesIndependently(t *testing.T) {
	m := NewMap()
	apply(t, m, set("a", "1"))
	c := m.Clone()
	apply(t, c, set("a", "2"), set("b", "2"))
	apply(t, m, del("a"))
	require.Equal(t, map[string]Entry{}, contents(m.View()))
	require.Equal(t, map[string]Entry{"a": {"2", at(1, 2)}, "b": {"2", at(1, 2)}}, contents(c.View()))
	require.Zero(t, m.Bytes())
}

func TestReadersShareViewsWithTheOwner(t *testing.T) {
	m := NewMap()
	for i := range 200 {
		apply(t, m, set(fmt.Sprint(i), "0"))
	}
	clone := m.Clone()
	views := make(chan *View, 4)
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for v := range views {
				want := fmt.Sprint(uint64(v.Position().Seq) - 200)
				for i := range 200 {
					e, ok := v.Get(fmt.Sprint(i))
					if !ok || e.Value != want {
						t.Errorf("key %d at %s is %v, want %s", i, v.Position(), e, want)
						return
					}
				}
				_ = v.JSON()
			}
		})
	}
	readers.Go(func() {
		for range 50 {
			apply(t, clone, set("0", "clone"), del("1"))
		}
	})
	for n := 1; n <= 50; n++ {
		ops := make([]Op, 200)
		for i := range ops {
			ops[i] = set(fmt.Sprint(i), fmt.Sprint(n))
		}
		apply(t, m, ops...)
		views <- m.View()
	}
	close(views)
	readers.Wait()
}

func TestAscend(t *testing.T) {
	m := NewMap()
	apply(t, m, set("a", ""), set("a/1", ""), set("a/2", ""), set("a/2\x00", ""), set("a/3", ""), set("b", ""), set("é", ""))
	for _, tc := range []struct {
		prefix, after string
		want          []string
	}{
		{"", "", []string{"a", "a/1", "a/2", "a/2\x00", "a/3", "b", "é"}},
		{"a/", "", []string{"a/1", "a/2", "a/2\x00", "a/3"}},
		{"a/", "a/2", []string{"a/2\x00", "a/3"}},
		{"a/", "a/2x", []string{"a/3"}},
		{"a/", "0", []string{"a/1", "a/2", "a/2\x00", "a/3"}},
		{"a/", "b", nil},
		{"", "b", []string{"é"}},
		{"x", "", nil},
	} {
		var got []string
		m.View().Ascend(tc.prefix, tc.after, func(key string, _ *Entry) bool {
			got = append(got, key)
			return true
		})
		require.Equal(t, tc.want, got, "%+v", tc)
	}
	var first []string
	m.View().Ascend("a/", "", func(key string, _ *Entry) bool {
		first = append(first, key)
		return len(first) < 2
	})
	require.Equal(t, []string{"a/1", "a/2"}, first)
	empty := NewMap().View()
	empty.Ascend("", "", func(string, *Entry) bool { t.Error("an empty view has a key"); return false })
}

func TestQuoteNamesKeysBriefly(t *testing.T) {
	require.Equal(t, `"a\nb"`, quote("a\nb"))
	long := ""
	for range 100 {
		long += "é"
	}
	require.Equal(t, `"`+long[:64]+`"…`, quote(long))
	require.Equal(t, `"x`+long[:62]+`"…`, quote("x"+long))
	keys := slices.Collect(func(yield func(string) bool) {
		for i := range 23 {
			if !yield(fmt.Sprint(i)) {
				return
			}
		}
	})
	require.Contains(t, quoteAll(keys), `"19" and 3 more`)
	require.Equal(t, `"0", "1"`, quoteAll(keys[:2]))
}
