package disk_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"understudy.example/pkg/disk"
)

// each runs a test on the real file system and on the one in memory, which have
// to behave the same.
func each(t *testing.T, test func(t *testing.T, fsys disk.FS, dir string)) {
	t.Run("os", func(t *testing.T) { test(t, disk.OS(), t.TempDir()) })
	t.Run("mem", func(t *testing.T) { test(t, disk.NewMem(), "/") })
	t.Run("faulty", func(t *testing.T) { test(t, disk.NewFaulty(disk.NewMem()), "/") })
}

func TestFilesReadAndWrite(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS, dir string) {
		f, err := fsys.OpenFile("make", filepath.Join(dir, "a"), os.O_CREATE|os.O_RDWR, 0o600)
		require.NoError(t, err)
		_, err = f.Write([]byte("hello "))
		require.NoError(t, err)
		_, err = f.Write([]byte("world"))
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("HE"), 0)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("!"), 12)
		require.NoError(t, err)
		require.NoError(t, f.Datasync("sync"))
		require.NoError(t, f.Sync("sync"))
		size, err := f.Size()
		require.NoError(t, err)
		require.EqualValues(t, 13, size)

		b := make([]byte, 20)
		n, err := f.ReadAt(b, 6)
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, "world\x00!", string(b[:n]))
		_, err = f.ReadAt(b, 13)
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, f.Truncate(2))
		require.NoError(t, f.Truncate(4))
		require.NoError(t, f.Close())
		require.ErrorIs(t, f.Close(), fs.ErrClosed)
		_, err = f.ReadAt(b, 0)
		require.ErrorIs(t, err, fs.ErrClosed)

		got, err := disk.ReadFile(fsys, "read", filepath.Join(dir, "a"))
		require.NoError(t, err)
		require.Equal(t, "HE\x00\x00", string(got))
		f, err = fsys.OpenFile("read", filepath.Join(dir, "a"), os.O_RDONLY, 0)
		require.NoError(t, err)
		_, err = f.Write([]byte("x"))
		require.Error(t, err, "the file is open for reading only")
		all, err := io.ReadAll(f)
		require.NoError(t, err)
		require.Equal(t, got, all)
		require.NoError(t, f.Close())
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS, dir string) {
		in := func(name string) string { return filepath.Join(dir, name) }
		require.NoError(t, disk.MakeDir(fsys, "mkdir", in("d/e")))
		require.NoError(t, disk.MakeDir(fsys, "mkdir", in("d/e")), "once more")
		require.ErrorIs(t, fsys.Mkdir("mkdir", in("d/e"), 0o700), fs.ErrExist)
		require.ErrorIs(t, fsys.Mkdir("mkdir", in("x/y"), 0o700), fs.ErrNotExist)
		require.NoError(t, disk.WriteFile(fsys, "write", in("d/two"), []byte("2")))
		require.NoError(t, disk.WriteFile(fsys, "write", in("d/one"), []byte("1")))
		require.NoError(t, disk.WriteFile(fsys, "write", in("d/one"), []byte("one")))
		require.ErrorContains(t, disk.MakeDir(fsys, "mkdir", in("d/one")), "is in the way")

		list, err := fsys.ReadDir("list", in("d"))
		require.NoError(t, err)
		names := []string{}
		for _, e := range list {
			names = append(names, e.Name())
			require.Equal(t, e.Name() == "e", e.IsDir())
		}
		require.Equal(t, []string{"e", "one", "two"}, names, "no temporary file stays")

		require.NoError(t, fsys.Rename("move", in("d/one"), in("d/two")))
		require.ErrorIs(t, fsys.Rename("move", in("d/one"), in("d/two")), fs.ErrNotExist)
		got, err := disk.ReadFile(fsys, "read", in("d/two"))
		require.NoError(t, err)
		require.Equal(t, "one", string(got))
		info, err := fsys.Stat("stat", in("d/two"))
		require.NoError(t, err)
		require.EqualValues(t, 3, info.Size())
		require.Equal(t, "two", info.Name())
		require.False(t, info.Mode().IsDir())

		require.Error(t, fsys.Remove("remove", in("d")), "not empty")
		require.NoError(t, fsys.Rename("move", in("d"), in("moved")))
		require.NoError(t, fsys.Remove("remove", in("moved/two")))
		require.ErrorIs(t, fsys.Remove("remove", in("moved/two")), fs.ErrNotExist)
		require.NoError(t, fsys.Remove("remove", in("moved/e")))
		require.NoError(t, fsys.Remove("remove", in("moved")))

		for _, err := range []error{
			func() error { _, err := fsys.Stat("stat", in("none")); return err }(),
			func() error { _, err := fsys.ReadDir("list", in("none")); return err }(),
			func() error { _, err := disk.ReadFile(fsys, "read", in("none")); return err }(),
			fsys.SyncDir("sync", in("none")),
		} {
			require.ErrorIs(t, err, fs.ErrNotExist)
		}
	})
}

func TestOneLockAtATime(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS, dir string) {
		name := filepath.Join(dir, "lock")
		l, err := fsys.Lock("lock", name)
		require.NoError(t, err)
		_, err = fsys.Lock("lock", name)
		require.ErrorIs(t, err, disk.ErrLocked)
		require.NoError(t, l.Close())
		l, err = fsys.Lock("lock", name)
		require.NoError(t, err)
		require.NoError(t, l.Close())
	})
}

func TestAFailedReplaceLeavesTheOldFile(t *testing.T) {
	eio := syscall.EIO
	for _, op := range []string{"new write", "new"} {
		f := disk.NewFaulty(disk.NewMem())
		require.NoError(t, disk.WriteFile(f, "old", "/file", []byte("old")))
		f.Fail(op, 1, eio)
		require.ErrorIs(t, disk.WriteFile(f, "new", "/file", []byte("new")), eio)
		got, err := disk.ReadFile(f, "read", "/file")
		require.NoError(t, err)
		require.Equal(t, "old", string(got))
		_, err = f.Stat("stat", "/file"+disk.TempSuffix)
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
}

func TestIsFull(t *testing.T) {
	require.True(t, disk.IsFull(&fs.PathError{Err: syscall.ENOSPC}))
	require.True(t, disk.IsFull(syscall.EDQUOT))
	require.False(t, disk.IsFull(syscall.EIO))
	require.False(t, disk.IsFull(nil))
	require.False(t, disk.IsFull(errors.New("no space left on device")))
}
