package store

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"

	"understudy.example/pkg/requestid"
)

// benchMap returns a map of n small entries.
func benchMap(b *testing.B, n int) *Map {
	m := NewMap()
	ops := make([]Op, n)
	for i := range ops {
		ops[i] = set(benchKey(i), "a value of thirty-two bytes, yes")
	}
	apply(b, m, ops...)
	return m
}

func benchKey(i int) string { return fmt.Sprintf("user/%06d/name", i) }

// BenchmarkPut measures one put from judging to applying, with a view after
// each batch of puts.
func BenchmarkPut(b *testing.B) {
	for _, keys := range []int{100, 100_000} {
		for _, batch := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("keys=%d/batch=%d", keys, batch), func(b *testing.B) {
				benchPut(b, keys, batch, func(req *Request, _ int) *Request { return req })
			})
			b.Run(fmt.Sprintf("keys=%d/batch=%d/session", keys, batch), func(b *testing.B) {
				benchPut(b, keys, batch, func(req *Request, n int) *Request {
					// As many are unanswered as are in two batches.
					return req.Named(requestid.ID{Session: requestid.Session{1}, Birth: 1, Serial: uint64(n), Lowest: uint64(max(1, n-2*batch))}, 1)
				})
			})
			b.Run(fmt.Sprintf("keys=%d/batch=%d/key", keys, batch), func(b *testing.B) {
				benchPut(b, keys, batch, func(req *Request, n int) *Request {
					return req.Named(requestid.ID{Key: "8e03978e-40d5-43dd-bc93-" + strconv.Itoa(n*7919)}, 1)
				})
			})
		}
	}
}

func benchPut(b *testing.B, keys, batch int, name func(req *Request, n int) *Request) {
	m := benchMap(b, keys)
	reqs := make([]*Request, 4096)
	for i := range reqs {
		var err error
		if reqs[i], err = Put(benchKey(i*7919%keys), []byte("another value of the same length"), Cond{}); err != nil {
			b.Fatal(err)
		}
	}
	pos := m.Position()
	var payload, id []byte
	b.ReportAllocs()
	n := 1
	for b.Loop() {
		now := int64(n) * 10_000 // 100,000 writes a second
		req := name(reqs[n%len(reqs)], n)
		v := m.JudgeOnce(req, now)
		if v.Err != nil {
			b.Fatal(v.Err)
		}
		payload = AppendBatch(payload[:0], now, v.Effects)
		id = AppendAnswered(id[:0], req, v.Status)
		pos.Seq++
		if err := m.ApplyBatch(pos, id, payload); err != nil {
			b.Fatal(err)
		}
		if n++; n%batch == 0 {
			m.View()
		}
	}
}

func BenchmarkGet(b *testing.B) {
	v := benchMap(b, 100_000).View()
	key := benchKey(4711)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := v.Get(key); !ok {
			b.Fatal("missing")
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	v := benchMap(b, 100).View()
	buf := v.AppendJSON(nil)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = v.AppendJSON(buf[:0])
	}
}

func BenchmarkParseObject(b *testing.B) {
	text := benchMap(b, 100).View().JSON()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseObject(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeDecode(b *testing.B) {
	v := benchMap(b, 100_000).View()
	var buf bytes.Buffer
	for b.Loop() {
		buf.Reset()
		if err := v.EncodeTo(&buf); err != nil {
			b.Fatal(err)
		}
		if _, err := DecodeMap(&buf); err != nil {
			b.Fatal(err)
		}
	}
}
