package store

import (
	"strings"
	"sync"

	"github.com/tidwall/btree"

	"understudy.example/pkg/protocol"
)

// Entry is one key's value and the position of the record that wrote it last.
// Entries are never changed once made.
type Entry struct {
	Value    string // opaque bytes, not necessarily UTF-8
	Position protocol.Position
}

// entryOverhead is what an entry costs in memory beside its key and value, in
// bytes: about 80 measured over 100,000 small entries, rounded up.
const entryOverhead = 96

func entrySize(key, value int) int64 { return int64(key + value + entryOverhead) }

// View is the state of a group at one position. It never changes, so any number
// of goroutines read it without a lock.
type View struct {
	state
	// once guards text, the map as JSON, made for the first reader who asks.
	once sync.Once
	text []byte
}

// state is what a Map and the views taken of it have in common.
type state struct {
	tree     *btree.Map[string, *Entry]
	bytes    int64
	position protocol.Position
	time     int64
	profile  *Profile
	ids      idTable
}

// Get returns the entry of key.
func (s *state) Get(key string) (*Entry, bool) { return s.tree.Get(key) }

// Ascend calls fn with the keys that begin with prefix and come after the key
// after, in order, until fn returns false. An empty after begins at the first.
func (s *state) Ascend(prefix, after string, fn func(key string, e *Entry) bool) {
	from := prefix
	if after != "" {
		// The least string above after is after with a zero byte.
		from = max(prefix, after+"\x00")
	}
	s.tree.Ascend(from, func(key string, e *Entry) bool {
		return strings.HasPrefix(key, prefix) && fn(key, e)
	})
}

// Len returns the number of keys.
func (s *state) Len() int { return s.tree.Len() }

// Bytes returns the memory that the entries take: keys, values and a fixed
// overhead for each.
func (s *state) Bytes() int64 { return s.bytes }

// Position returns the position of the last record applied, zero if none.
func (s *state) Position() protocol.Position { return s.position }

// GroupTime returns the time of the last batch in Unix nanoseconds by the
// group's own clock, zero if there was none. It never goes back.
func (s *state) GroupTime() int64 { return s.time }

// Profile returns the profile of the group, nil if it has none.
func (s *state) Profile() *Profile { return s.profile }
