package replica

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/protocol"
)

// chunkOf makes a chunk of records from..last of epoch 1, each with a payload of
// so many bytes.
func chunkOf(from, last protocol.Seq, bytes int) chunk {
	c := chunk{first: from, last: last}
	for seq := from; seq <= last; seq++ {
		c.data = record.Append(c.data, &record.Record{Epoch: 1, Seq: seq, Kind: record.Batch, Payload: make([]byte, bytes)})
	}
	return c
}

func TestFeedKeepsTheNewest(t *testing.T) {
	f := newFeed(position(1, 4))
	require.True(t, f.reaches(4))
	require.False(t, f.reaches(3))
	require.False(t, f.reaches(5))
	const size = 1 << 20
	for seq := protocol.Seq(5); seq <= 40; seq += 2 {
		f.add([]chunk{chunkOf(seq, seq, size), chunkOf(seq+1, seq+1, size)}, position(1, seq+1), func() {})
	}
	require.Equal(t, position(1, 40), f.newest())
	require.LessOrEqual(t, f.held, int64(feedBytes))
	require.Len(t, f.chunks, 7)
	require.True(t, f.reaches(33))
	require.False(t, f.reaches(32))
	require.Empty(t, f.after(32, nil).chunks)
	require.Nil(t, f.after(32, nil).wake, "there is more, on the disk")

	huge := chunkOf(41, 41, record.MaxPayload)
	f.add([]chunk{huge}, position(1, 41), func() {})
	require.Len(t, f.chunks, 1, "the newest stays, whatever its size")
	require.Len(t, f.after(40, nil).chunks, 1)

	f.reset(position(2, 100), func() {})
	require.False(t, f.reaches(41))
	require.True(t, f.reaches(100))
	require.Zero(t, f.held)
}

// A watch that begins where the newest state ends must find its end here.
func TestTheStateIsShownTogetherWithItsRecords(t *testing.T) {
	f, found := newFeed(position(1, 2)), make(chan protocol.Position, 2)
	show := func() {
		go func() { found <- f.newest() }()
		time.Sleep(10 * time.Millisecond)
		if len(found) > 0 {
			found <- protocol.Position{} // it did not wait for the state to be shown
		}
	}
	f.add([]chunk{chunkOf(3, 3, 9)}, position(1, 3), show)
	require.Equal(t, position(1, 3), <-found)
	require.Empty(t, found)
	f.reset(position(1, 9), show)
	require.Equal(t, position(1, 9), <-found)
	require.Empty(t, found)
}

func TestFeedGivesPieces(t *testing.T) {
	f := newFeed(position(1, 0))
	var chunks []chunk
	for seq := protocol.Seq(1); seq <= 100; seq += 10 {
		chunks = append(chunks, chunkOf(seq, seq+9, feedPiece/30))
	}
	f.add(chunks, position(1, 100), func() {})
	at, rounds := protocol.Seq(0), 0
	var buf []*fed
	for at < 100 {
		g := f.after(at, buf)
		buf = g.chunks
		require.NotEmpty(t, g.chunks)
		require.LessOrEqual(t, len(g.chunks), 2)
		require.LessOrEqual(t, g.chunks[0].first, at+1)
		at = g.chunks[len(g.chunks)-1].last
		require.Equal(t, at == 100, g.wake != nil)
		rounds++
	}
	require.Equal(t, 5, rounds)
	g := f.after(14, nil) // in the middle of a chunk
	require.Equal(t, protocol.Seq(11), g.chunks[0].first)
}

func TestFeedRefusesGaps(t *testing.T) {
	f := newFeed(position(1, 4))
	require.Panics(t, func() { newFeed(position(1, 4)).add([]chunk{chunkOf(6, 7, 9)}, position(1, 7), func() {}) })
	require.Panics(t, func() { newFeed(position(1, 4)).add([]chunk{chunkOf(4, 7, 9)}, position(1, 7), func() {}) })
	require.Panics(t, func() { newFeed(position(1, 4)).add([]chunk{chunkOf(5, 7, 9)}, position(1, 8), func() {}) })
	f.add([]chunk{chunkOf(5, 7, 9)}, position(1, 7), func() {})
}

// A thousand watchers are woken ten times a second, however much is written.
func TestPumpRests(t *testing.T) {
	for watchers, most := range map[int]int{1: 1001, 100: 101, 1000: 11, 10_000: 11} {
		synctest.Test(t, func(t *testing.T) {
			f := newFeed(position(1, 0))
			for range watchers {
				require.NoError(t, f.join())
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var wait sync.WaitGroup
			wait.Go(func() { f.pump(ctx) })
			wakes := 0
			wait.Go(func() {
				for {
					g := f.after(f.newest().Seq, nil)
					select {
					case <-g.wake:
						wakes++
					case <-ctx.Done():
						return
					}
				}
			})
			for seq := protocol.Seq(1); ctx.Err() == nil; seq++ {
				f.add([]chunk{chunkOf(seq, seq, 9)}, position(1, seq), func() {})
				time.Sleep(100 * time.Microsecond)
			}
			wait.Wait()
			require.LessOrEqual(t, wakes, most)
			require.GreaterOrEqual(t, wakes, most-3)
		})
	}
}

// Without watchers nobody is stirred.
func TestFeedWithoutWatchersIsSilent(t *testing.T) {
	f := newFeed(position(1, 0))
	f.add([]chunk{chunkOf(1, 1, 9)}, position(1, 1), func() {})
	require.Empty(t, f.dirty)
	require.NoError(t, f.join())
	f.add([]chunk{chunkOf(2, 2, 9)}, position(1, 2), func() {})
	require.Len(t, f.dirty, 1)
}

func TestPendingUpTo(t *testing.T) {
	whole, second := chunkOf(3, 5, 20), chunkOf(6, 9, 20)
	p := pending{chunks: []chunk{whole, second}}
	for upTo := protocol.Seq(2); upTo <= 10; upTo++ {
		t.Run(fmt.Sprint(upTo), func(t *testing.T) {
			got, err := p.upTo(upTo)
			require.NoError(t, err)
			next := protocol.Seq(3)
			for _, c := range got {
				require.Equal(t, next, c.first)
				require.NoError(t, record.Each(c.data, func(rec record.Record, _ []byte) error {
					require.Equal(t, next, rec.Seq)
					next++
					return nil
				}))
				require.Equal(t, next-1, c.last)
			}
			require.Equal(t, min(upTo, 9), max(next-1, 2))
		})
	}
	require.Equal(t, []chunk{whole, second}, p.chunks, "it changes nothing")
	damaged := pending{chunks: []chunk{{first: 3, last: 5, data: whole.data[:50]}}}
	_, err := damaged.upTo(4)
	require.ErrorIs(t, err, record.ErrShort)
}
