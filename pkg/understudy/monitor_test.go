package understudy

import (
	"encoding/json"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"time"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/sse"
	"understudy.example/pkg/wire"
)

// monitor is a fake: it tells of the primary, and passes requests on to it.
type monitor struct {
	proxy *httputil.ReverseProxy

	mu      sync.Mutex // guards the fields below
	primary wire.PrimaryEvent
	changed chan struct{}
	passed  []string // ids of writes, else methods
	streams int      // that were asked for
}

func (m *monitor) say(name string, epoch protocol.Epoch, serving bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.primary = wire.PrimaryEvent{Cluster: "c1", Name: name, Address: name + ":8081", Epoch: epoch, Version: protocol.Version(epoch), Serving: serving}
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *monitor) told() wire.PrimaryEvent {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.primary
}

func (m *monitor) count(r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	mark := r.Method
	if id := r.Header.Get(wire.HeaderRequest); id != "" {
		mark = id
	}
	m.passed = append(m.passed, mark)
}

// counts returns what went through the monitor, and how often it was followed.
func (m *monitor) counts() (passed []string, streams int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.passed), m.streams
}

func (m *monitor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != wire.PathEvents {
		m.proxy.ServeHTTP(w, r)
		return
	}
	every, err := time.ParseDuration(r.URL.Query().Get(wire.QueryKeepAlive))
	if err != nil {
		problem.Write(w, problem.Errorf(problem.BadRequest, "%v", err))
		return
	}
	m.mu.Lock()
	m.streams++
	m.mu.Unlock()
	beat := time.NewTicker(every)
	defer beat.Stop()
	var said wire.PrimaryEvent
	for {
		m.mu.Lock()
		now, changed := m.primary, m.changed
		m.mu.Unlock()
		out := sse.AppendComment(nil, "quiet")
		if now != said {
			text, _ := json.Marshal(now)
			out, said = sse.Append(nil, "1", wire.EventPrimary, text), now
		}
		_, _ = w.Write(out)
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-beat.C:
		case <-r.Context().Done():
			return
		}
	}
}
