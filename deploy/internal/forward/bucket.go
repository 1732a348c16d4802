package forward

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// bucketDepth is how long a bucket that was idle may be overdrawn.
const bucketDepth = 5 * time.Millisecond

// Bucket is a rate that several forwarders share, as what a machine sends shares
// its network card. Its methods may be called concurrently.
type Bucket struct {
	perSecond int

	mu   sync.Mutex // guards free
	free time.Time  // when what was taken so far will have been sent
}

// NewBucket returns one of so many bytes a second.
func NewBucket(perSecond int) *Bucket { return &Bucket{perSecond: perSecond} }

// take waits until n bytes have passed.
func (b *Bucket) take(n int) {
	b.mu.Lock()
	now := time.Now()
	if b.free.Before(now) {
		b.free = now
	}
	b.free = b.free.Add(time.Duration(n) * time.Second / time.Duration(b.perSecond))
	wait := b.free.Sub(now)
	b.mu.Unlock()
	if wait > bucketDepth {
		time.Sleep(wait)
	}
}

// Limit has what the other side sends pass through the bucket from now on; nil:
// it is not limited.
func (f *Forwarder) Limit(b *Bucket) { f.bucket.Store(b) }

// limited reads no faster than a bucket lets it.
type limited struct {
	from   io.Reader
	bucket *atomic.Pointer[Bucket]
}

// Read implements [io.Reader].
func (l limited) Read(p []byte) (int, error) {
	n, err := l.from.Read(p)
	if b := l.bucket.Load(); b != nil && n > 0 {
		b.take(n)
	}
	return n, err
}
