package registry

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

// someRegistry returns a closed directory with n notes.
func someRegistry(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := openLeading(t, testOptions(dir))
		for i := range n {
			_, err := r.Apply(t.Context(), note(i))
			require.NoError(t, err)
		}
		require.NoError(t, r.Close())
	})
	return dir
}

func TestDamagedIdentity(t *testing.T) {
	dir := someRegistry(t, 1)
	path := filepath.Join(dir, identityFile)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for name, c := range map[string]struct{ text, want string }{
		"empty":          {"", "damaged"},
		"cut off":        {string(good[:len(good)/2]), "damaged"},
		"without uuid":   {`{"format":1,"name":"m1"}`, "must hold a name and a uuid"},
		"another format": {`{"format":2,"name":"m1","uuid":"u"}`, "format 2"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
			_, err := Open(t.Context(), testOptions(dir))
			require.ErrorContains(t, err, c.want)
		})
	}
	require.NoError(t, os.Remove(path))
	_, err = Open(t.Context(), testOptions(dir))
	require.ErrorContains(t, err, "is missing beside a registry log")
}

func TestCutOffLog(t *testing.T) {
	dir := someRegistry(t, 3)
	path := filepath.Join(dir, logFile)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for size := 1; size < len(whole); size += 4096 - 7 {
		require.NoError(t, os.WriteFile(path, whole[:size], 0o600))
		openDamaged(t, dir, fmt.Sprintf("cut at %d", size), 3)
	}
}

func TestOverwrittenLog(t *testing.T) {
	dir := someRegistry(t, 3)
	path := filepath.Join(dir, logFile)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	refused := 0
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		garbled := append([]byte(nil), whole...)
		at := random.IntN(len(whole))
		for i := at; i < min(at+1+random.IntN(64), len(whole)); i++ {
			garbled[i] = byte(random.Uint32())
		}
		require.NoError(t, os.WriteFile(path, garbled, 0o600))
		if openDamaged(t, dir, fmt.Sprintf("overwritten at %d", at), 3) {
			refused++
		}
	}
	require.Positive(t, refused)
}

// openDamaged opens a damaged directory far enough to have read it: either it
// is refused with a reason, or every note is in the log.
func openDamaged(t *testing.T, dir, what string, want int) (refused bool) {
	t.Helper()
	store, err := openStore(t.Context(), dir)
	if err != nil {
		require.ErrorContains(t, err, dir, what)
		return true
	}
	defer func() { _ = store.Close() }() // it may be damaged in what was not read
	if err := guard(func() error { return checkLog(store) }); err != nil {
		return true
	}
	m := newMachine(func(protocol.Registry) {})
	first, err := store.FirstIndex()
	require.NoError(t, err, what)
	last, err := store.LastIndex()
	require.NoError(t, err, what)
	for i := first; i <= last; i++ {
		var l raft.Log
		require.NoError(t, store.GetLog(i, &l), what)
		if l.Type == raft.LogCommand {
			m.Apply(&l)
		}
	}
	require.NoError(t, m.err(), what)
	require.Equal(t, upTo(want), notes(*m.state.Load()), what)
	return false
}

func TestUnreadableEntryIsFatal(t *testing.T) {
	for name, data := range map[string][]byte{
		"short":           {format, 0},
		"another format":  entry(t, 9, `{}`),
		"no JSON":         entry(t, format, `{"note":`),
		"wrong checksum":  append(entry(t, format, `{}`), ' '),
		"wrong JSON type": entry(t, format, `[]`),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := openLeading(t, testOptions(t.TempDir()))
				before, err := r.Apply(t.Context(), note(0))
				require.NoError(t, err)
				require.NoError(t, r.raft.Apply(data, 0).Error())
				<-r.Failed()
				require.ErrorContains(t, r.Err(), "log entry")

				_, err = r.Apply(t.Context(), note(1))
				require.ErrorIs(t, err, r.Err())
				require.Equal(t, before, r.State(), "nothing is applied beyond the entry")
				require.Error(t, r.raft.Snapshot().Error(), "the log with the entry is kept")
				require.NoError(t, r.Close())
				require.False(t, r.Leader())

				_, err = Open(t.Context(), r.opt)
				require.ErrorContains(t, err, "read log entry")
			})
		})
	}
}

// entry makes a log entry with the right checksum.
func entry(t *testing.T, version byte, body string) []byte {
	t.Helper()
	data, err := encodeCommand(protocol.Command{})
	require.NoError(t, err)
	sum := checksum([]byte(body))
	copy(data, []byte{version, byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	return append(data[:entryHeader], body...)
}
