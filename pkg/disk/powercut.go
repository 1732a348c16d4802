package disk

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
)

// PowerCut turns the power off and returns a file system as the next process
// may find it: what was made durable, and by chance any part of what was not.
// It may be called again to see another outcome of the same cut.
func (m *Mem) PowerCut(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = true
	after := &Mem{state: newState(nil)}
	after.room = m.room
	after.root = after.survivor(m.root, m.survivingNames(rng), rng)
	return after
}

// survivingNames returns a function that gives each directory's names after the
// cut. Of the changes of one directory a prefix survives.
func (m *Mem) survivingNames(rng *rand.Rand) func(*node) map[string]*node {
	changed := map[*node]map[string]*node{}
	names := func(dir *node) map[string]*node {
		if changed[dir] == nil {
			changed[dir] = cloneNames(dir)
		}
		return changed[dir]
	}
	lost := map[*node]bool{}
	for _, c := range m.pending {
		if c.touches(lost) || rng.IntN(2) == 0 {
			c.mark(lost)
			continue
		}
		c.apply(names)
	}
	return names
}

// survivor copies what is left of n into a durable node.
func (m *Mem) survivor(n *node, names func(*node) map[string]*node, rng *rand.Rand) *node {
	if !n.dir {
		c := &node{data: n.surviving(rng)}
		c.saved = bytes.Clone(c.data)
		m.used += int64(len(c.data))
		return c
	}
	c := newDir()
	left := names(n)
	for _, name := range slices.Sorted(maps.Keys(left)) { // in order, so that a seed means one outcome
		c.entries[name] = m.survivor(left[name], names, rng)
	}
	c.durable = maps.Clone(c.entries)
	return c
}

// surviving returns a file's contents after the cut: the old size or the new,
// and each sector that was not synced old or new.
func (n *node) surviving(rng *rand.Rand) []byte {
	size := len(n.saved)
	if rng.IntN(2) == 0 {
		size = len(n.data)
	}
	out := resized(bytes.Clone(n.saved), size)
	runs := slices.SortedFunc(slices.Values(n.dirty), func(a, b run) int { return a.first - b.first })
	next := 0 // runs may overlap: each sector has its chance once
	for _, r := range runs {
		for s := max(r.first, next); s < r.end; s++ {
			next = s + 1
			if rng.IntN(2) == 0 || s*sector >= size {
				continue
			}
			end := min(size, len(n.data), (s+1)*sector)
			if s*sector < end {
				copy(out[s*sector:], n.data[s*sector:end])
			}
		}
	}
	return out
}
