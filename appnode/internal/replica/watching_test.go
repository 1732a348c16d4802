package replica

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/protocol"
)

// watch is a watcher of a test, and what it has seen.
type watch struct {
	*Watcher
	rig  *rig
	seen []string // "1.2 k=v" for each op, in order
	at   protocol.Position
	err  error
}

func position(epoch protocol.Epoch, seq protocol.Seq) protocol.Position {
	return protocol.Position{Epoch: epoch, Seq: seq}
}

// watch begins a watch, which must succeed.
func (m *member) watch(since protocol.Position, prefix string) *watch {
	m.rig.t.Helper()
	w, err := m.replica.Watch(context.Background(), since, prefix)
	require.NoError(m.rig.t, err)
	return &watch{Watcher: w, rig: m.rig, at: since}
}

// look takes what comes within quiet, once. It returns false after the watch's
// end.
func (w *watch) look(quiet time.Duration) bool {
	changes, upTo, _, err := w.Next(context.Background(), quiet)
	if err != nil {
		w.err = err
		return false
	}
	before := w.at
	for _, c := range changes {
		if c.Position.Compare(before) <= 0 || c.Position.Compare(upTo) > 0 {
			w.seen = append(w.seen, fmt.Sprintf("%s out of order after %s, up to %s", c.Position, before, upTo))
		}
		before = c.Position
		for _, op := range c.Ops {
			w.seen = append(w.seen, describe(c.Position, op))
		}
	}
	w.at = upTo
	return true
}

func describe(p protocol.Position, op store.Op) string {
	if op.Delete {
		return fmt.Sprintf("%s -%s", p, op.Key)
	}
	return fmt.Sprintf("%s %s=%s", p, op.Key, op.Value)
}

// reach takes what comes up to a position of the history.
func (w *watch) reach(seq protocol.Seq) {
	w.rig.t.Helper()
	for began := time.Now(); w.at.Seq < seq; {
		require.True(w.rig.t, w.look(time.Second), "%v", w.err)
		require.Less(w.rig.t, time.Since(began), patience, "waits for %d, is at %s", seq, w.at)
	}
}

// keys returns the seen changes without their positions.
func (w *watch) keys() []string {
	var out []string
	for _, s := range w.seen {
		_, change, _ := strings.Cut(s, " ")
		out = append(out, change)
	}
	return out
}

// history is everything that the member has committed, as a new watcher sees it.
func (m *member) history() []string {
	w := m.watch(protocol.Position{}, "")
	defer w.Close()
	w.reach(m.replica.view.Load().Position().Seq)
	return w.seen
}

// writing writes keys of its own, one after the other, until stop is called,
// which returns those that were acknowledged.
func (r *rig) writing(name string, target func() *member) (stop func() map[string]protocol.Position) {
	done := make(map[string]protocol.Position)
	over := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			case <-time.After(3 * time.Millisecond):
			}
			key := fmt.Sprintf("%s/%d", name, i)
			if m := target(); m.replica != nil {
				out, err := m.replica.Write(context.Background(), r.put(key, "v"))
				if err == nil {
					done[key] = out.Position
				}
			}
		}
	})
	return func() map[string]protocol.Position {
		close(over)
		wait.Wait()
		return done
	}
}
