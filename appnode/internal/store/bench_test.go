package store

import (
	"bytes"
	"fmt"
	"testing"
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
				benchPut(b, keys, batch)
			})
		}
	}
}

func benchPut(b *testing.B, keys, batch int) {
	m := benchMap(b, keys)
	reqs := make([]*Request, 4096)
	for i := range reqs {
		var err error
		if reqs[i], err = Put(benchKey(i*7919%keys), []byte("another value of the same length"), Cond{}); err != nil {
			b.Fatal(err)
		}
	}
	pos := m.Position()
	var payload []byte
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		effects, err := m.Judge(reqs[n%len(reqs)])
		if err != nil {
			b.Fatal(err)
		}
		payload = AppendBatch(payload[:0], int64(n), effects)
		pos.Seq++
		if err := m.ApplyBatch(pos, payload); err != nil {
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
