package store

// maxLengths is the most that the lengths of a key and a value take in a batch.
const maxLengths = 5

// sizeOf returns the most bytes that the effects of ops take in a batch record:
// the time and the count, then the ops.
func sizeOf(ops []Op) int {
	n := 8 + 4
	for i := range ops {
		n += maxLengths + len(ops[i].Key) + len(ops[i].Value)
	}
	return n
}

// Size returns the most bytes that the request takes in a record beside its
// header. Without its id it is at most MaxRequest.
func (r *Request) Size() int { return r.size }
