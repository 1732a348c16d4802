package command

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/sse"
	"understudy.example/pkg/wire"
)

// stream has a path answer with events, and then stay open.
func (f *fake) stream(path string, events ...[]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers["GET "+path] = func(w http.ResponseWriter, r *http.Request) {
		for _, e := range events {
			_, _ = w.Write(e)
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

func event(t *testing.T, id, name string, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return sse.Append(nil, id, name, text)
}

// interrupted runs a command until it has printed n lines, and then presses
// Ctrl-C.
func (f *fake) interrupted(t *testing.T, n int, args ...string) (lines []string, code int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- Process{
			Args: append([]string{"-monitor", f.address}, args...), Env: func(string) string { return "" },
			Stdin: strings.NewReader(""), Stdout: in, Stderr: io.Discard,
		}.Run(ctx)
		_ = in.Close()
	}()
	scanner := bufio.NewScanner(out)
	for len(lines) < n && scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	cancel()
	_, _ = io.Copy(io.Discard, out) // to its end
	return lines, <-ended
}

func (f *fake) primaryEvent(t *testing.T) []byte {
	t.Helper()
	return event(t, "7", wire.EventPrimary, wire.PrimaryEvent{Cluster: "c1", Name: "app1", Address: f.address, Epoch: 3, Version: 9, Serving: true})
}

var founded = protocol.HistoryEvent{
	ID: 8, At: time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC), Kind: "promoted", Epoch: 4, Detail: "app1 is\ndown",
	TimelineMS: map[string]float64{"serving": 180.4, "suspected": 30},
}

func TestEvents(t *testing.T) {
	f := newFake(t)
	f.stream("/v1/events", f.primaryEvent(t), event(t, "8", wire.EventHistory, founded), sse.AppendComment(nil, "quiet"),
		event(t, "8", wire.EventPrimary, wire.PrimaryEvent{Cluster: "c1", Name: "app1", Address: f.address, Epoch: 3, Version: 10, Serving: true}),
		event(t, "8", wire.EventPrimary, wire.PrimaryEvent{Epoch: 3}))
	lines, code := f.interrupted(t, 3, "-events")
	require.Equal(t, problem.ExitDone, code)
	require.Regexp(t, `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z  primary is app1 at `+f.address+`, epoch 3$`, lines[0])
	require.Equal(t, "2026-03-04 05:06:07.089Z  promoted: app1 is down (epoch 4) (suspected 30 ms, serving 180 ms)", lines[1])
	require.Contains(t, lines[2], "primary is nobody")

	lines, code = f.interrupted(t, 2, "-events", "-o", "json")
	require.Equal(t, problem.ExitDone, code)
	require.JSONEq(t, `{"primary":{"cluster":"c1","group":0,"name":"app1","address":"`+f.address+`","epoch":3,"version":9,"serving":true}}`, lines[0])
	require.Contains(t, lines[1], `{"history":{"id":8,`)
}

func TestEventsGoOnWhereTheyWere(t *testing.T) {
	f := newFake(t)
	asked := make(chan string, 10)
	f.answers["GET /v1/events"] = func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get(sse.HeaderLastID)
		_, _ = w.Write(f.primaryEvent(t)) // which is no news the second time
		if len(asked) < 2 {
			_, _ = w.Write(event(t, "8", wire.EventHistory, founded))
			return
		}
		later := founded
		later.ID, later.Kind = 9, "restarted"
		_, _ = w.Write(event(t, "9", wire.EventHistory, later))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	lines, code := f.interrupted(t, 3, "-events")
	require.Equal(t, problem.ExitDone, code)
	require.Contains(t, lines[0], "primary is app1")
	require.Contains(t, lines[1], "promoted: ")
	require.Contains(t, lines[2], "restarted: ")
	require.Empty(t, <-asked)
	require.Equal(t, "8", <-asked)
}

func TestEventsOfNobody(t *testing.T) {
	f := newFake(t)
	f.on("GET /v1/events", problem.Errorf(problem.Overloaded, "too many subscribers"))
	got := f.run(t, "-events", "-timeout", "200ms")
	require.Equal(t, problem.ExitUnavailable, got.code)
	require.Contains(t, got.errors, "no monitor answered at "+f.address+": too many subscribers")

	f.on("GET /v1/events", problem.Errorf(problem.Forbidden, "not for you"))
	got = f.run(t, "-events")
	require.Equal(t, problem.ExitRefused, got.code)
	require.Contains(t, got.errors, "not for you")

	f.stream("/v1/events", sse.Append(nil, "", wire.EventPrimary, []byte("{")))
	got = f.run(t, "-events")
	require.Equal(t, problem.ExitFailed, got.code)
	require.Contains(t, got.errors, "is this a monitor of the same release?")

	f.stream("/v1/events")
	got = f.run(t, "-events", "-timeout", "100ms")
	require.Equal(t, problem.ExitUnavailable, got.code)
	require.Contains(t, got.errors, "the monitor has fallen silent")
}

func (f *fake) watched(t *testing.T) {
	t.Helper()
	one, two, binary := "1", "a\nb", "/w=="
	f.stream("/v1/events", f.primaryEvent(t))
	f.stream(wire.PathWatch,
		event(t, "", wire.EventSnapshot, wire.WatchSnapshot{First: true, Items: []wire.Item{{Key: "a", Value: &one, ETag: `"1.2"`}}}),
		event(t, "3.7", wire.EventSnapshot, wire.WatchSnapshot{Last: true, Items: []wire.Item{}}),
		event(t, "3.8", wire.EventBatch, wire.WatchBatch{Position: protocol.Position{Epoch: 3, Seq: 8}, Changes: []wire.KeyChange{
			{Key: "a", Value: &two}, {Key: "b", Base64: &binary}, {Key: "c", Deleted: true},
		}}))
}

func TestWatch(t *testing.T) {
	f := newFake(t)
	f.watched(t)
	lines, code := f.interrupted(t, 4, "-watch", "-prefix", "p q")
	require.Equal(t, problem.ExitDone, code)
	require.Equal(t, []string{
		"1.2        is      a = 1",
		"3.8        set     a = a b",
		"3.8        set     b = (1 bytes)",
		"3.8        deleted c",
	}, lines)
	require.Contains(t, f.requests(), "GET "+wire.PathWatch+"?prefix=p+q")

	lines, code = f.interrupted(t, 3, "-watch", "-o", "json")
	require.Equal(t, problem.ExitDone, code)
	require.Equal(t, []string{
		`{"snapshot":true,"reset":true,"changes":[{"key":"a","value":"1"}]}`,
		`{"snapshot":true,"complete":true,"position":"3.7","changes":[]}`,
		`{"position":"3.8","changes":[{"key":"a","value":"a\nb"},{"key":"b","base64":"/w=="},{"key":"c","deleted":true}]}`,
	}, lines)
}

func TestAWatchThatCannotBegin(t *testing.T) {
	f := newFake(t)
	got := f.run(t, "-watch", "-timeout", "200ms")
	require.Equal(t, problem.ExitUnavailable, got.code)
	require.Contains(t, got.errors, "nothing to watch was found within 200ms")

	f.stream("/v1/events", f.primaryEvent(t))
	f.on("GET "+wire.PathWatch, problem.Errorf(problem.BadRequest, "prefix is too long"))
	got = f.run(t, "-watch")
	require.Equal(t, problem.ExitFailed, got.code)
	require.Contains(t, got.errors, "client: prefix is too long")

	got = f.run(t, "-get", "k", "-prefix", "p")
	require.Equal(t, problem.ExitUsage, got.code)
	require.Contains(t, got.errors, "-prefix belongs to -watch, and the action is -get")
}
