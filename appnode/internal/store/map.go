// Package store holds the key/value map of a group in memory: it judges what a
// client asks to be written, applies committed records and publishes immutable
// views to read from.
//
// Beside the map it keeps which requests were answered, and how, so that each is
// applied once: the answers are part of the state, made by the same records and
// carried by the same snapshots. What a first hop may still send again is kept
// until its later requests say that it will not, a caller's own key for
// [KeepFor] of the group's time.
//
// One goroutine owns a [Map]. After each committed batch it takes a [View],
// which costs the same whatever the size of the map: the two share a B-tree
// whose nodes are copied when the owner changes them next. A primary applies its
// tail to the map at once and takes a view after each batch, to be published
// when that batch is committed: one map then serves both for judging the next
// request and for reading.
package store

import (
	"github.com/tidwall/btree"

	"understudy.example/pkg/protocol"
)

// degree of the B-tree. A change after a view copies one node for each level,
// so nodes are smaller than for lookups alone.
const degree = 24

// Map is the map of a group on the side of its one owner. Its methods must not
// be called at the same time; what View and Clone return is independent of it.
type Map struct {
	state
	limit int64 // bytes; 0: none
}

// NewMap returns an empty map.
func NewMap() *Map {
	return &Map{state: state{tree: btree.NewMap[string, *Entry](degree), ids: newIDTable()}}
}

// LimitBytes makes Judge refuse what would bring Bytes above n. Zero: no limit.
// A map that is above it already can still shrink.
func (m *Map) LimitBytes(n int64) { m.limit = n }

// Clone returns a map of the same state that changes independently. It may be
// handed to another owner.
func (m *Map) Clone() *Map {
	c := *m
	c.tree, c.ids = m.tree.Copy(), m.ids.share()
	return &c
}

// View returns the present state to read from.
func (m *Map) View() *View {
	v := &View{state: m.state}
	v.tree, v.ids = m.tree.Copy(), m.ids.share()
	return v
}

func (m *Map) set(key, value string, pos protocol.Position) {
	m.bytes += entrySize(len(key), len(value))
	if old, replaced := m.tree.Set(key, &Entry{Value: value, Position: pos}); replaced {
		m.bytes -= entrySize(len(key), len(old.Value))
	}
}

func (m *Map) remove(key string) {
	if old, ok := m.tree.Delete(key); ok {
		m.bytes -= entrySize(len(key), len(old.Value))
	}
}
