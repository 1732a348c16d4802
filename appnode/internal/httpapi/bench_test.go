package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/protocol"
)

// ready answers every read from one view.
type ready struct {
	*fakeReplica
	view *store.View
}

func (r ready) Read(context.Context, store.Level, protocol.Position) (*store.View, error) {
	return r.view, nil
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header               { return d.header }
func (d *discard) Write(b []byte) (int, error)       { return len(b), nil }
func (d *discard) WriteString(s string) (int, error) { return len(s), nil }
func (d *discard) WriteHeader(int)                   {}

func benchNode() http.Handler {
	f := &fakeReplica{m: store.NewMap()}
	f.apply(set("user/000001/name", "a value of thirty-two bytes, yes"))
	return New(Options{Replica: ready{f, f.m.View()}, Name: "app1", Log: zerolog.Nop()})
}

// BenchmarkHandler shows what the handlers cost beside an empty one.
func BenchmarkHandler(b *testing.B) {
	empty := chi.NewRouter()
	empty.Get("/v1/kv/*", func(http.ResponseWriter, *http.Request) {})
	for _, bc := range []struct {
		name, target string
		handler      http.Handler
	}{
		{"empty", "/v1/kv/user/000001/name", empty},
		{"key", "/v1/kv/user/000001/name", benchNode()},
		{"state", "/v1/state", benchNode()},
	} {
		b.Run(bc.name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, bc.target, nil)
			w := &discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				bc.handler.ServeHTTP(w, r)
			}
		})
	}
}
