package disk_test

import (
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"understudy.example/pkg/disk"
)

// outcomes collects what a read of name gives after each of many power cuts.
func outcomes(m *disk.Mem, name string) map[string]bool {
	seen := map[string]bool{}
	for seed := range uint64(200) {
		b, err := disk.ReadFile(m.PowerCut(rand.New(rand.NewPCG(seed, 1))), "read", name)
		if err != nil {
			b = []byte("missing")
		}
		seen[string(b)] = true
	}
	return seen
}

func TestPowerCutKeepsWhatWasSyncedAndMayLoseTheRest(t *testing.T) {
	m := disk.NewMem()
	f, err := m.OpenFile("make", "/f", os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	_, err = f.Write([]byte("old"))
	require.NoError(t, err)
	require.NoError(t, f.Sync("sync"))
	require.NoError(t, m.SyncDir("sync", "/"))
	_, err = f.WriteAt([]byte("new"), 0)
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"old": true, "new": true}, outcomes(m, "/f"))
	_, err = f.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, disk.ErrPowerOff)
	require.True(t, m.Off())
}

func TestPowerCutLosesSectorsOneByOne(t *testing.T) {
	m := disk.NewMem()
	f, err := m.OpenFile("make", "/f", os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	_, err = f.Write(make([]byte, 2048))
	require.NoError(t, err)
	require.NoError(t, f.Sync("sync"))
	require.NoError(t, m.SyncDir("sync", "/"))
	page := make([]byte, 2048)
	for i := range page {
		page[i] = 'x'
	}
	_, err = f.WriteAt(page, 0)
	require.NoError(t, err)
	require.Len(t, outcomes(m, "/f"), 16, "each of four sectors is old or new")
}

func TestPowerCutWithoutSyncDirLosesNames(t *testing.T) {
	m := disk.NewMem()
	write := func(name, text string) {
		f, err := m.OpenFile("make", name, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
		require.NoError(t, err)
		_, err = f.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, f.Sync("sync"))
		require.NoError(t, f.Close())
	}
	write("/a", "first")
	require.NoError(t, m.SyncDir("sync", "/"))
	write("/b", "second")
	require.NoError(t, m.Rename("mv", "/b", "/a"))
	killed := m.Kill()
	got, err := disk.ReadFile(killed, "read", "/a")
	require.NoError(t, err)
	require.Equal(t, "second", string(got), "a process that dies loses nothing that it wrote")
	require.Equal(t, map[string]bool{"first": true, "second": true}, outcomes(killed, "/a"))
}

func TestSyncDirOfAnotherDirectoryDoesNotHelp(t *testing.T) {
	m := disk.NewMem()
	require.NoError(t, disk.MakeDir(m, "mkdir", "/a"))
	require.NoError(t, disk.MakeDir(m, "mkdir", "/b"))
	f, err := m.OpenFile("make", "/a/f", os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	require.NoError(t, f.Sync("sync"))
	require.NoError(t, m.SyncDir("sync", "/b"))
	require.True(t, outcomes(m, "/a/f")["missing"])
}

func TestReplaceIsOldOrNewAtEveryStep(t *testing.T) {
	for n := 0; ; n++ {
		m := disk.NewMem()
		require.NoError(t, disk.WriteFile(m, "write", "/f", []byte("old")))
		m.StopAfter(n)
		err := disk.WriteFile(m, "write", "/f", []byte("new"))
		for text := range outcomes(m, "/f") {
			if err == nil {
				require.Equal(t, "new", text)
			}
			require.Contains(t, []string{"old", "new"}, text, "after %d steps", n)
		}
		if err == nil {
			require.Greater(t, n, 3)
			return
		}
		require.ErrorIs(t, err, disk.ErrPowerOff)
	}
}

func TestRoomRunsOutAndComesBack(t *testing.T) {
	m := disk.NewMem()
	m.SetRoom(10)
	require.NoError(t, disk.WriteFile(m, "write", "/a", make([]byte, 8)))
	err := disk.WriteFile(m, "write", "/b", make([]byte, 8))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.True(t, disk.IsFull(err))
	require.EqualValues(t, 8, m.Used())
	require.NoError(t, m.Remove("remove", "/a"))
	require.NoError(t, disk.WriteFile(m, "write", "/b", make([]byte, 8)))
	require.EqualValues(t, 8, m.PowerCut(rand.New(rand.NewPCG(1, 1))).Used())
}

func TestKillFreesLocks(t *testing.T) {
	m := disk.NewMem()
	_, err := m.Lock("lock", "/l")
	require.NoError(t, err)
	l, err := m.Kill().Lock("lock", "/l")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = m.Stat("stat", "/")
	require.ErrorIs(t, err, disk.ErrPowerOff)
}

func TestFaultyFailsExactlyTheCallThatWasChosen(t *testing.T) {
	f := disk.NewFaulty(disk.NewMem())
	file, err := f.OpenFile("open", "/f", os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	f.Fail("sync", 2, syscall.EIO)
	require.NoError(t, file.Datasync("sync"))
	require.NoError(t, file.Datasync("other"))
	require.ErrorIs(t, file.Datasync("sync"), syscall.EIO)
	require.NoError(t, file.Datasync("sync"))
	require.Equal(t, 3, f.Calls("sync"))

	f.FailAlways("open write", syscall.ENOSPC)
	for range 3 {
		_, err = file.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.ENOSPC)
	}
	f.Heal("open write")
	_, err = file.Write([]byte("x"))
	require.NoError(t, err)
}

func TestFaultyStallsUntilReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := disk.NewFaulty(disk.NewMem())
		file, err := f.OpenFile("open", "/f", os.O_CREATE|os.O_RDWR, 0o600)
		require.NoError(t, err)
		release := f.Stall("sync")
		start, took := time.Now(), time.Duration(0)
		go func() {
			if err := file.Datasync("sync"); err == nil {
				took = time.Since(start)
			}
		}()
		time.Sleep(30 * time.Second)
		release()
		synctest.Wait()
		require.Equal(t, 30*time.Second, took)
	})
}
