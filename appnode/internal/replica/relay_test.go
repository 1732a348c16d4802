package replica

import (
	"bufio"
	"bytes"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/journal"
	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/frame"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// encoded returns the records from first to last of epoch 1, back to back.
func encoded(first, last protocol.Seq) (b []byte) {
	for seq := first; seq <= last; seq++ {
		b = record.Append(b, &record.Record{Epoch: 1, Seq: seq, Kind: record.Batch, Payload: make([]byte, seq%7)})
	}
	return b
}

func joined(chunks []chunk) (b []byte) {
	for _, c := range chunks {
		b = append(b, c.data...)
	}
	return b
}

// Whatever pieces records come in, whatever pieces are asked for: what is given is
// just those records.
func TestRelayGivesWhatItWasSent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		q, start := newRelay("a", 1), protocol.Seq(1+rng.IntN(5))
		end := start - 1
		require.NoError(t, q.add(encoded(start, start)))
		end++
		for range rng.IntN(6) {
			again := min(protocol.Seq(rng.IntN(3)), end-start+1) // a move has the last ones sent again
			next := end + protocol.Seq(rng.IntN(4))
			if next < end+1-again {
				continue
			}
			require.NoError(t, q.add(encoded(end+1-again, max(next, end+1-again))))
			end = max(end, next, end+1-again)
		}
		for range 10 {
			first := protocol.Seq(1 + rng.IntN(int(end)+2))
			last := first + protocol.Seq(rng.IntN(5))
			chunks, grown, err := q.take(first, last)
			switch {
			case last > end:
				require.NoError(t, err)
				require.NotNil(t, grown, "they have not all arrived")
			case first < start:
				require.ErrorIs(t, err, errNotKept)
			default:
				require.NoError(t, err)
				require.Equal(t, encoded(first, last), joined(chunks))
			}
		}
	}
}

func TestRelayTellsOfMore(t *testing.T) {
	q := newRelay("a", 1)
	_, grown, err := q.take(3, 4)
	require.NoError(t, err)
	require.NoError(t, q.add(encoded(1, 4)))
	<-grown
	chunks, _, err := q.take(3, 4)
	require.NoError(t, err)
	require.Equal(t, encoded(3, 4), joined(chunks))
}

// What lies between two pieces was never sent, and nothing is given that reaches
// into it.
func TestRelayGivesNothingAcrossAGap(t *testing.T) {
	q := newRelay("a", 1)
	require.NoError(t, q.add(encoded(1, 4)))
	require.NoError(t, q.add(encoded(9, 10)))
	for _, first := range []protocol.Seq{2, 5, 8} {
		_, _, err := q.take(first, 10)
		require.ErrorIs(t, err, errNotKept)
	}
	chunks, _, err := q.take(9, 10)
	require.NoError(t, err)
	require.Equal(t, encoded(9, 10), joined(chunks))
}

func TestRelayForgetsTheOldest(t *testing.T) {
	q := newRelay("a", 1)
	big := record.Append(nil, &record.Record{Epoch: 1, Seq: 1, Kind: record.Batch, Payload: make([]byte, recentBytes/2)})
	require.NoError(t, q.add(big))
	for seq := protocol.Seq(2); seq <= 4; seq++ {
		require.NoError(t, q.add(record.Append(nil, &record.Record{Epoch: 1, Seq: seq, Kind: record.Batch, Payload: make([]byte, recentBytes/2)})))
	}
	_, _, err := q.take(1, 2)
	require.ErrorIs(t, err, errNotKept)
	require.LessOrEqual(t, q.recent.held, int64(recentBytes))
}

func TestRelayRefusesWhatAreNoRecords(t *testing.T) {
	q := newRelay("a", 1)
	whole := encoded(1, 3)
	require.ErrorIs(t, q.add(whole[:len(whole)-1]), record.ErrShort)
	require.ErrorContains(t, q.add(nil), "no records")
	_, grown, err := q.take(1, 1)
	require.NoError(t, err)
	require.NotNil(t, grown, "nothing has been kept")
}

// What has arrived does not wait for a frame of which only a part has.
func TestATunnelPassesOnWhatHasArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		primary, up := net.Pipe()
		down, standby := net.Pipe()
		tunnel := &tunnel{
			up: up, down: down, in: bufio.NewReader(up), below: bufio.NewReader(down), relay: newRelay("a", 1),
			done: make(chan struct{}), passed: prometheus.NewCounter(prometheus.CounterOpts{}),
		}
		var running sync.WaitGroup
		running.Go(func() { _ = tunnel.run() })
		confirm := frame.AppendNumber(nil, frameConfirm, 1, 5)
		records := frame.Append(nil, frameRecords, 1, encoded(1, 4))
		running.Go(func() {
			_, _ = primary.Write(append(bytes.Clone(confirm), records[:20]...))
			time.Sleep(silence / 2)
			_, _ = primary.Write(records[20:])
		})
		began, in := time.Now(), bufio.NewReader(standby)
		h, _, err := frame.Read(in, nil)
		require.NoError(t, err)
		require.Equal(t, frameConfirm, h.Type)
		require.Zero(t, time.Since(began))
		h, payload, err := frame.Read(in, nil)
		require.NoError(t, err)
		require.Equal(t, frameRecords, h.Type)
		require.Equal(t, encoded(1, 4), payload)
		_ = primary.Close()
		_ = standby.Close()
		running.Wait()
	})
}

// Records are left to a relay that has them, or will in a moment.
func TestWhomRecordsAreLeftTo(t *testing.T) {
	for name, spoil := range map[string]func(relay *peerConn){
		"has lagged by a whole window": func(relay *peerConn) { relay.inFlight = windowBytes },
		"follows in another epoch":     func(relay *peerConn) { relay.epoch = 2 },
		"fetches a snapshot":           func(relay *peerConn) { relay.snapshot = true },
		"is another":                   func(relay *peerConn) { relay.uuid = "c" },
	} {
		relay, c := &peerConn{uuid: "b", epoch: 3, inFlight: windowBytes - 1}, &peerConn{uuid: "z", epoch: 3, via: "b"}
		r := &Replica{conns: map[protocol.ConnID]*peerConn{1: relay, 2: c}}
		require.Same(t, relay, r.relayOf(c))
		require.Nil(t, r.relayOf(relay), "it is behind nobody")
		spoil(relay)
		require.Nil(t, r.relayOf(c), name)
	}
}

// Records of one epoch are never filled into a stream of another: what was at the
// same seqs may have been cut since.
func TestRecordsAreFilledInOfTheSameEpochOnly(t *testing.T) {
	tunnel := &tunnel{relay: newRelay("a", 1)}
	require.NoError(t, tunnel.relay.add(encoded(1, 4)))
	payload := make([]byte, 16)
	payload[0], payload[8] = 2, 3
	out, err := tunnel.fillIn(nil, 1, payload)
	require.NoError(t, err)
	require.Len(t, out, 2)
	_, err = tunnel.fillIn(nil, 2, payload)
	require.ErrorContains(t, err, "epoch 2")
	_, err = tunnel.fillIn(nil, 1, payload[:8])
	require.Error(t, err)
}

// A ring of standbys cannot come to be, and who has no stream passes nothing on.
func TestStreamsArePassedOnOnlyFromAStream(t *testing.T) {
	inChain(t, 2, func(t *testing.T, r *rig, a *member, row []*member) {
		ask := func(m *member, query string) *problem.Error {
			w := httptest.NewRecorder()
			m.replica.ServeStream(w, httptest.NewRequest(http.MethodGet, "/x?group=0&"+query, nil))
			return problem.Parse(w.Code, w.Header(), w.Body.Bytes())
		}
		require.Equal(t, problem.NotPrimary, ask(a, "to="+string(a.dir.UUID())+"&hops=0").Code, "the primary has no stream")
		require.Equal(t, problem.NotPrimary, ask(row[0], "to="+string(row[1].dir.UUID())+"&hops=0").Code, "of another primary")
		for _, hops := range []string{"9", "-1", "x", ""} {
			require.Equal(t, problem.BadRequest, ask(row[0], "to="+string(a.dir.UUID())+"&hops="+hops).Code, hops)
		}
	})
}

func FuzzSpan(f *testing.F) {
	f.Add(encoded(1, 3))
	f.Add(encoded(7, 7)[:journal.MarkSize])
	f.Fuzz(func(t *testing.T, b []byte) {
		q := newRelay("a", 1)
		if q.add(b) != nil {
			return
		}
		first, last, err := record.Span(b)
		require.NoError(t, err)
		if chunks, grown, err := q.take(first, last); err == nil && grown == nil {
			require.Equal(t, b, joined(chunks))
		}
	})
}
