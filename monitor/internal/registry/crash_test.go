package registry

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

func requireSameJSON(t *testing.T, want, got protocol.Registry) {
	t.Helper()
	w, err := json.Marshal(want)
	require.NoError(t, err)
	g, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, string(w), string(g))
}

func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
	return to
}

// A copy taken while nothing is under way is what a killed process leaves.
func TestAcknowledgedIsThereInACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := openLeading(t, testOptions(dir))
		var copies []string
		for i := range 3 {
			_, err := r.Apply(t.Context(), note(i))
			require.NoError(t, err)
			copies = append(copies, copyDir(t, dir))
		}
		cluster := r.State().Cluster
		require.NoError(t, r.Close())
		for i, c := range copies {
			again := openLeading(t, testOptions(c))
			require.Equal(t, cluster, again.State().Cluster)
			require.Equal(t, upTo(i+1), notes(again.State()))
			require.NoError(t, again.Close())
		}
	})
}

// childDir names, in a child process of TestAcknowledgedSurvivesKill, the
// directory in which it is to write until it is killed.
const childDir = "UNDERSTUDY_TEST_REGISTRY_DIR"

func TestAcknowledgedSurvivesKill(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		writeForEver(t, dir)
	}
	t.Parallel()
	dir := t.TempDir()
	acked := 0
	for round := range 2 {
		acked = killWhileWriting(t, dir, time.Duration(round*7)*time.Millisecond)
		synctest.Test(t, func(t *testing.T) {
			r := openLeading(t, testOptions(dir))
			got := notes(r.State())
			require.GreaterOrEqual(t, len(got), acked, "an acknowledged command was lost")
			require.Equal(t, upTo(len(got)), got)
			require.NoError(t, r.Close())
		})
	}
	require.Positive(t, acked)
}

// writeForEver applies numbered notes, from the first that is missing, and
// prints how many are acknowledged.
func writeForEver(t *testing.T, dir string) {
	r := openLeading(t, testOptions(dir))
	for i := len(notes(r.State())); i < protocol.MaxHistory/2; i++ {
		_, err := r.Apply(t.Context(), note(i))
		require.NoError(t, err)
		fmt.Printf("acked %d\n", i+1)
	}
	select {} // until killed
}

// killWhileWriting kills a writing process a while after its tenth
// acknowledgement and returns how many notes were acknowledged in all.
func killWhileWriting(t *testing.T, dir string, after time.Duration) (acked int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAcknowledgedSurvivesKill$")
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "acked %d", &acked); err != nil {
			continue
		}
		if n++; n == 10 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	require.Error(t, cmd.Wait(), "the child runs until it is killed")
	return acked
}

func TestInterruptedBootstrapIsCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		store, err := openStore(t.Context(), dir)
		require.NoError(t, err)
		_, err = openIdentity(testOptions(dir).withDefaults(), store)
		require.NoError(t, err)
		require.NoError(t, store.SetUint64([]byte("CurrentTerm"), 1)) // what Raft's bootstrap writes first
		require.NoError(t, store.Close())
		r := openLeading(t, testOptions(dir))
		require.NotEmpty(t, r.State().Cluster)
		require.NoError(t, r.Close())
	})
}

func TestSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := openLeading(t, testOptions(dir))
		for i := range 2 {
			_, err := r.Apply(t.Context(), note(i))
			require.NoError(t, err)
			require.NoError(t, r.raft.Snapshot().Error())
		}
		want, err := r.Apply(t.Context(), note(2))
		require.NoError(t, err)
		require.NoError(t, r.Close())
		files, err := filepath.Glob(filepath.Join(dir, "snapshots", "*", "state.bin"))
		require.NoError(t, err)
		require.Len(t, files, 2)

		for damaged := range 3 { // none, the newest, both
			if damaged > 0 {
				path := files[len(files)-damaged]
				require.NoError(t, os.WriteFile(path, []byte(`{"format":1,"registry":{}}`), 0o600))
			}
			if damaged == 2 {
				_, err = Open(t.Context(), testOptions(dir))
				require.ErrorContains(t, err, "snapshots")
				break
			}
			r = openLeading(t, testOptions(dir))
			requireSameJSON(t, want, r.State())
			require.NoError(t, r.Close())
		}
	})
}

func TestSnapshotOfAnotherFormat(t *testing.T) {
	m := newMachine(func(protocol.Registry) {})
	require.ErrorContains(t, m.Restore(fileOf(t, `{"format":9,"registry":{}}`)), "format 9")
	require.ErrorContains(t, m.Restore(fileOf(t, `{"format":1}`)), "format 1")
	require.ErrorContains(t, m.Restore(fileOf(t, `{"form`)), "not valid")
	require.NoError(t, m.Restore(fileOf(t, `{"format":1,"registry":{"cluster":"c"}}`)))
	require.Equal(t, "c", m.state.Load().Cluster)
}

func fileOf(t *testing.T, text string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}
