package replica

import (
	"context"
	"fmt"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// outcome is what a write came to, and when.
type outcome struct {
	store.Outcome
	err  error
	took time.Duration
}

func (o outcome) code() problem.Code { return problem.CodeOf(o.err) }

// begin begins a write and does not wait for it, but lets everything happen that
// happens at once.
func (m *member) begin(req *store.Request) <-chan outcome {
	done := make(chan outcome, 1)
	began := time.Now()
	r := m.replica
	go func() {
		out, err := r.Write(context.Background(), req)
		done <- outcome{out, err, time.Since(began)}
	}()
	synctest.Wait()
	return done
}

func (r *rig) put(key, value string) *store.Request {
	req, err := store.Put(key, []byte(value), store.Cond{})
	require.NoError(r.t, err)
	return req
}

// create is a put that is refused if the key is there.
func (r *rig) create(key, value string) *store.Request {
	req, err := store.Put(key, []byte(value), store.Cond{NoneMatch: store.Tags{Given: true, Any: true}})
	require.NoError(r.t, err)
	return req
}

// write writes a key, which must succeed.
func (m *member) write(key, value string) store.Outcome {
	m.rig.t.Helper()
	out := <-m.begin(m.rig.put(key, value))
	require.NoError(m.rig.t, out.err)
	return out.Outcome
}

// fill writes so many bytes under a prefix.
func (m *member) fill(prefix string, bytes int) {
	m.rig.t.Helper()
	value := fmt.Sprintf("%0*d", 4<<10, 0)
	for i := range bytes / len(value) {
		m.write(fmt.Sprintf("%s-%d", prefix, i), value)
	}
}

// read reads a key at a level; "" if it is not there.
func (m *member) read(level store.Level, key string) (string, error) {
	view, err := m.replica.Read(context.Background(), level, protocol.Position{})
	if err != nil {
		return "", err
	}
	e, ok := view.Get(key)
	if !ok {
		return "", nil
	}
	return e.Value, nil
}

// has tells what the member has applied.
func (m *member) has(key string) string {
	v, err := m.read(store.Stale, key)
	require.NoError(m.rig.t, err)
	return v
}

// sameState waits until the members have applied the same, and checks it.
func (r *rig) sameState(members ...*member) {
	r.t.Helper()
	view := func(m *member) *store.View {
		v, err := m.replica.Read(context.Background(), store.Stale, protocol.Position{})
		require.NoError(r.t, err)
		return v
	}
	r.eventually("equal positions", func() bool {
		for _, m := range members {
			if view(m).Position() != view(members[0]).Position() {
				return false
			}
		}
		return true
	})
	for _, m := range members {
		require.Equal(r.t, string(view(members[0]).JSON()), string(view(m).JSON()), m.name)
	}
}
