package replica

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/record"
	"understudy.example/pkg/frame"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// stranger is a peer in the hands of the test, at one end of a stream.
type stranger struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// callOn opens a stream to a member.
func callOn(t *testing.T, r *rig, m *member) *stranger {
	conn := r.dialStream(m)
	t.Cleanup(func() { _ = conn.Close() })
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
	return &stranger{t, conn, in}
}

func (s *stranger) send(b []byte) {
	_, err := s.conn.Write(b)
	require.NoError(s.t, err)
}

func (s *stranger) next() (frame.Header, []byte) {
	require.NoError(s.t, s.conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	h, payload, err := frame.Read(s.in, nil)
	require.NoError(s.t, err)
	return h, payload
}

// refused expects a last word of that code, and then the end.
func (s *stranger) refused(code problem.Code) refuseMessage {
	h, payload := s.next()
	require.Equal(s.t, frameRefuse, h.Type)
	var m refuseMessage
	require.NoError(s.t, json.Unmarshal(payload, &m))
	require.Equal(s.t, code, m.Code, m.Detail)
	s.ended()
	return m
}

func (s *stranger) ended() {
	require.NoError(s.t, s.conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	for {
		if _, _, err := frame.Read(s.in, nil); err != nil {
			var late net.Error
			require.NotErrorAs(s.t, err, &late, "the connection is closed by the other side")
			return
		}
	}
}

func helloOf(m *member) helloMessage {
	return helloMessage{V: wire.Format, Cluster: testCluster, UUID: m.dir.UUID(), Boot: m.dir.Boot(), Name: m.name}
}

func TestHellosThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		epoch  protocol.Epoch
		change func(*helloMessage)
		code   problem.Code
	}{
		{"of another cluster", 1, func(h *helloMessage) { h.Cluster = "other" }, problem.WrongCluster},
		{"of another group", 1, func(h *helloMessage) { h.Group = 7 }, problem.WrongCluster},
		{"of another release", 1, func(h *helloMessage) { h.V = 99 }, problem.UnsupportedVersion},
		{"of nobody", 1, func(h *helloMessage) { h.UUID = "somebody" }, problem.NotPrimary},
		{"of an earlier epoch", 0, func(*helloMessage) {}, problem.StaleVersion},
		{"of a later epoch", 9, func(*helloMessage) {}, problem.NotPrimary},
	} {
		t.Run(test.name, func(t *testing.T) {
			inPair(t, func(t *testing.T, r *rig, a, b *member) {
				b.crash()
				s := callOn(t, r, a)
				h := helloOf(b)
				test.change(&h)
				s.send(encodeJSON(frameHello, test.epoch, h))
				s.refused(test.code)
				require.True(t, a.replica.Status().Serving)
			})
		})
	}
}

// A primary of an earlier epoch learns of its fate from a standby's hello.
func TestHelloBringsANewerRecord(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		b.crash()
		r.desk.mute("a", true)
		rec := a.replica.Record()
		rec.Version, rec.Epoch, rec.Primary = rec.Version+1, rec.Epoch+1, b.boot()
		h := helloOf(b)
		h.Record = &rec
		s := callOn(t, r, a)
		s.send(encodeJSON(frameHello, rec.Epoch, h))
		s.ended()
		r.eventually("it is deposed", func() bool { return a.replica.Status().Role == protocol.RoleStandby })
		require.Equal(t, rec.Epoch, a.replica.Status().Epoch)
	})
}

// Whatever a peer sends, the worst is the end of its connection.
func TestFramesThatBreakTheRules(t *testing.T) {
	number := func(t frame.Type, n uint64) []byte { return frame.AppendNumber(nil, t, 1, n) }
	for _, test := range []struct {
		name  string
		frame []byte
	}{
		{"acknowledges what was never sent", number(frameAck, 1<<40)},
		{"an acknowledgement without a number", frame.Append(nil, frameAck, 1, nil)},
		{"a type that nobody knows", number(77, 1)},
		{"a frame that is too long", frame.AppendHeader(nil, frameAck, 1, frame.MaxPayload+1)},
		{"a second hello", encodeJSON(frameHello, 1, helloMessage{})},
		{"records for the primary", frame.Append(nil, frameRecords, 1, []byte("records"))},
	} {
		t.Run(test.name, func(t *testing.T) {
			inPair(t, func(t *testing.T, r *rig, a, b *member) {
				b.crash()
				r.desk.waitInSync("a")
				s := callOn(t, r, a)
				s.send(encodeJSON(frameHello, 1, helloOf(b)))
				h, _ := s.next()
				require.Equal(t, frameWelcome, h.Type)
				s.send(test.frame)
				s.ended()
				a.write("k", "v")
			})
		})
	}
}

// Boundaries that no journal can have are refused before anything is cut by them.
func TestHelloWithImpossibleBoundaries(t *testing.T) {
	for _, bounds := range [][]protocol.Boundary{
		{{Epoch: 1, First: 1 << 62}},
		{{Epoch: 1, First: 0}},
		{{Epoch: 5, First: 9}, {Epoch: 1, First: 30}, {Epoch: 1, First: 40}},
	} {
		inPair(t, func(t *testing.T, r *rig, a, b *member) {
			b.crash()
			r.desk.waitInSync("a")
			s := callOn(t, r, a)
			h := helloOf(b)
			h.Last, h.Boundaries = 1<<60, bounds
			s.send(encodeJSON(frameHello, 1, h))
			s.refused(problem.BadRequest)
			a.write("k", "v")
		})
	}
}

// A connection that says nothing is given up.
func TestSilentStranger(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		s := callOn(t, r, a)
		began := time.Now()
		s.ended()
		require.Equal(t, helloTimeout, time.Since(began))
	})
}

// impostor answers a standby in the place of its primary.
func impostor(t *testing.T, answer func(s *stranger)) func(r *rig, b *member) {
	return func(r *rig, b *member) {
		host := r.net.Host("a")
		ln, err := host.Listen(t.Context(), "a:1")
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				in := bufio.NewReader(conn)
				if _, err := http.ReadRequest(in); err == nil {
					s := &stranger{t, conn, in}
					_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + StreamProtocol + "\r\n\r\n"))
					if _, _, err := frame.Read(in, nil); err == nil { // its hello
						answer(s)
					}
				}
				_ = conn.Close()
			}
		}()
		t.Cleanup(func() { _ = ln.Close(); <-done })
	}
}

// Whatever claims to be the primary, the worst is that the standby does not
// follow it.
func TestPrimaryThatBreaksTheRules(t *testing.T) {
	welcome := func(part protocol.Seq) []byte {
		return encodeJSON(frameWelcome, 1, welcomeMessage{V: wire.Format, Part: part})
	}
	for _, test := range []struct {
		name   string
		frames func(last protocol.Seq) [][]byte
	}{
		{"a welcome beyond the end", func(last protocol.Seq) [][]byte { return [][]byte{welcome(last + 10)} }},
		{"a welcome below what is committed", func(protocol.Seq) [][]byte { return [][]byte{welcome(0)} }},
		{"a welcome of another epoch", func(last protocol.Seq) [][]byte {
			return [][]byte{encodeJSON(frameWelcome, 9, welcomeMessage{V: wire.Format, Part: last})}
		}},
		{"a welcome that is no JSON", func(protocol.Seq) [][]byte { return [][]byte{frame.Append(nil, frameWelcome, 1, []byte("{"))} }},
		{"records that are none", func(last protocol.Seq) [][]byte {
			return [][]byte{welcome(last), frame.Append(nil, frameRecords, 1, []byte("not a record"))}
		}},
		{"no records at all", func(last protocol.Seq) [][]byte {
			return [][]byte{welcome(last), frame.Append(nil, frameRecords, 1, nil)}
		}},
		{"records out of sequence", func(last protocol.Seq) [][]byte {
			return [][]byte{welcome(last), frame.Append(nil, frameRecords, 1, epochStartAt(protocol.Position{Epoch: 1, Seq: last + 5}))}
		}},
		{"records of a later epoch", func(last protocol.Seq) [][]byte {
			return [][]byte{welcome(last), frame.Append(nil, frameRecords, 1, epochStartAt(protocol.Position{Epoch: 7, Seq: last + 1}))}
		}},
		{"a confirm of another epoch", func(last protocol.Seq) [][]byte {
			return [][]byte{welcome(last), frame.AppendNumber(nil, frameConfirm, 2, 1)}
		}},
		{"an answer of the wrong size", func(last protocol.Seq) [][]byte {
			return [][]byte{welcome(last), frame.Append(nil, frameTold, 1, []byte{1})}
		}},
		{"a refusal that is no JSON", func(protocol.Seq) [][]byte { return [][]byte{frame.Append(nil, frameRefuse, 1, []byte("{"))} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			inPair(t, func(t *testing.T, r *rig, a, b *member) {
				a.write("k", "v")
				r.sameState(a, b)
				before := b.replica.Status()
				a.crash()
				calls := 0
				impostor(t, func(s *stranger) {
					calls++
					for _, f := range test.frames(before.Position.Seq) {
						_, _ = s.conn.Write(f)
					}
					for {
						h, _, err := frame.Read(s.in, nil)
						if err != nil {
							return // the standby has hung up
						}
						if h.Type == frameConfirmed {
							calls = -1 << 20
						}
					}
				})(r, b)
				time.Sleep(time.Second)
				synctest.Wait()
				require.Positive(t, calls, "it was called, and never got a confirm")
				after := b.replica.Status()
				require.Equal(t, before.Position, after.Position)
				require.Equal(t, before.Commit, after.Commit)
				require.NoError(t, b.replica.Alive())
				r.net.Crash("a")
			})
		})
	}
}

func epochStartAt(p protocol.Position) []byte {
	return record.Append(nil, &record.Record{Epoch: p.Epoch, Seq: p.Seq, Kind: record.EpochStart})
}
