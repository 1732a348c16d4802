package store

import "github.com/tidwall/btree"

// keyed is the answer to a request with a key of the caller's own. It is never
// changed once made.
type keyed struct {
	key    string
	answer Answer
	time   int64 // group time
}

// keyTable is the answers to requests with a key of the caller's own. The zero
// table is empty.
type keyTable struct {
	byKey *btree.Map[string, *keyed]
	// bySeq is in the order of their age: each is of one record, and the group's
	// time does not go back from record to record.
	bySeq *btree.Map[uint64, *keyed]
}

// share returns a table of the same answers that changes independently.
func (t *keyTable) share() keyTable {
	if t.byKey == nil {
		return keyTable{}
	}
	return keyTable{t.byKey.Copy(), t.bySeq.Copy()}
}

func (t *keyTable) get(key string) *keyed {
	if t.byKey == nil {
		return nil
	}
	k, _ := t.byKey.Get(key)
	return k
}

func (t *keyTable) len() int {
	if t.byKey == nil {
		return 0
	}
	return t.byKey.Len()
}

func (t *keyTable) add(k *keyed) {
	if t.byKey == nil {
		t.byKey, t.bySeq = btree.NewMap[string, *keyed](degree), btree.NewMap[uint64, *keyed](degree)
	}
	t.byKey.Set(k.key, k)
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
		t.byKey.Delete(k.key)
		t.bySeq.Delete(uint64(k.answer.Position.Seq))
	}
}
