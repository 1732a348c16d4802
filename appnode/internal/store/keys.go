package store

import (
	"github.com/cespare/xxhash/v2"
	"github.com/tidwall/btree"
)

// keyed is the answer to a request with a key of the caller's own. It is never
// changed once made.
type keyed struct {
	key    string
	answer Answer
	time   int64  // group time
	next   *keyed // another key of the same hash
}

// keyTable is the answers to requests with a key of the caller's own. The zero
// table is empty.
type keyTable struct {
	// byHash leads to the keys of each hash. A tree of the keys themselves takes
	// several times as long: every comparison would fetch another key's text.
	byHash *btree.Map[uint32, *keyed]
	// bySeq is in the order of their age: each is of one record, and the group's
	// time does not go back from record to record.
	bySeq *btree.Map[uint64, *keyed]
}

// share returns a table of the same answers that changes independently.
func (t *keyTable) share() keyTable {
	if t.byHash == nil {
		return keyTable{}
	}
	return keyTable{t.byHash.Copy(), t.bySeq.Copy()}
}

func (t *keyTable) get(key string) *keyed {
	if t.byHash == nil {
		return nil
	}
	k, _ := t.byHash.Get(hashOf(key))
	for k != nil && k.key != key {
		k = k.next
	}
	return k
}

func hashOf(key string) uint32 { return uint32(xxhash.Sum64String(key)) }

func (t *keyTable) len() int {
	if t.bySeq == nil {
		return 0
	}
	return t.bySeq.Len()
}

// add takes an answer in. Its key is not there.
func (t *keyTable) add(k *keyed) {
	if t.byHash == nil {
		t.byHash, t.bySeq = btree.NewMap[uint32, *keyed](degree), btree.NewMap[uint64, *keyed](degree)
	}
	if same, collides := t.byHash.Set(hashOf(k.key), k); collides {
		linked := *k
		linked.next = same
		k = &linked
		t.byHash.Set(hashOf(k.key), k)
	}
	t.bySeq.Set(uint64(k.answer.Position.Seq), k)
}

// oldest returns the oldest answer, nil if there is none.
func (t *keyTable) oldest() *keyed {
	if t.bySeq == nil {
		return nil
	}
	_, k, _ := t.bySeq.Min()
	return k
}

// newest returns the youngest answer, nil if there is none.
func (t *keyTable) newest() *keyed {
	if t.bySeq == nil {
		return nil
	}
	_, k, _ := t.bySeq.Max()
	return k
}

// dropsPerRecord bounds how many keys one record makes the group forget, so that
// a write after a long pause does not wait for a million of them.
const dropsPerRecord = 16

// expire forgets the keys whose time is up, the oldest first.
func (t *keyTable) expire(now int64) {
	for range dropsPerRecord {
		k := t.oldest()
		if k == nil || !expired(k.time, now) {
			return
		}
		t.drop(k.key)
		t.bySeq.Delete(uint64(k.answer.Position.Seq))
	}
}

// drop takes a key out of those of its hash. What another table shares is copied,
// not changed.
func (t *keyTable) drop(key string) {
	hash := hashOf(key)
	first, _ := t.byHash.Get(hash)
	if rest := first.without(key); rest != nil {
		t.byHash.Set(hash, rest)
	} else {
		t.byHash.Delete(hash)
	}
}

func (k *keyed) without(key string) *keyed {
	switch {
	case k == nil:
		return nil
	case k.key == key:
		return k.next
	}
	c := *k
	c.next = k.next.without(key)
	return &c
}
