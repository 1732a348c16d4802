package datadir_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"understudy.example/appnode/internal/datadir"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

func open(t *testing.T, fs disk.FS) *datadir.Dir {
	t.Helper()
	d, err := datadir.Open(fs, "/node", rand.Reader)
	require.NoError(t, err)
	return d
}

func TestAnIdentityStaysAndBootsCountUp(t *testing.T) {
	fs := disk.NewMem()
	d := open(t, fs)
	uuid, boot := d.UUID(), d.Boot()
	require.Regexp(t, "^[0-9a-f]{32}$", uuid)
	require.Regexp(t, "^[0-9a-f]{8}$", boot.Nonce)
	require.EqualValues(t, 1, boot.Count)
	require.Empty(t, d.Cluster())
	require.NoError(t, d.Close())

	for count := uint64(2); count < 5; count++ {
		d = open(t, fs)
		require.Equal(t, uuid, d.UUID())
		require.Equal(t, count, d.Boot().Count)
		require.NotEqual(t, boot.Nonce, d.Boot().Nonce)
		fs = fs.PowerCut(mathrand.New(mathrand.NewPCG(count, 0)))
	}
}

func TestADirectoryHasOneUser(t *testing.T) {
	for name, fs := range map[string]disk.FS{"os": disk.OS(), "mem": disk.NewMem()} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "b")
			d, err := datadir.Open(fs, dir, rand.Reader)
			require.NoError(t, err)
			_, err = datadir.Open(fs, dir, rand.Reader)
			require.ErrorIs(t, err, disk.ErrLocked)
			require.ErrorContains(t, err, "give this node a directory of its own")
			require.NoError(t, d.Close())
			d, err = datadir.Open(fs, dir, rand.Reader)
			require.NoError(t, err)
			require.EqualValues(t, 2, d.Boot().Count, "an attempt that was refused is no boot")
			require.NoError(t, d.Close())
		})
	}
}

func TestEveryFlippedBitOfTheIdentityIsAnError(t *testing.T) {
	fs := disk.NewMem()
	d := open(t, fs)
	require.NoError(t, d.SetCluster("c1"))
	uuid := d.UUID()
	require.NoError(t, d.Close())
	good, err := disk.ReadFile(fs, "read", "/node/identity.json")
	require.NoError(t, err)
	for i := range len(good) * 8 {
		bad := append([]byte(nil), good...)
		bad[i/8] ^= 1 << (i % 8)
		require.NoError(t, disk.WriteFile(fs, "write", "/node/identity.json", bad))
		d, err := datadir.Open(fs, "/node", rand.Reader)
		if err == nil {
			// White space or the case of a field's name, which mean nothing.
			require.Equal(t, uuid, d.UUID(), "bit %d", i)
			require.Equal(t, "c1", d.Cluster(), "bit %d", i)
			require.EqualValues(t, 2, d.Boot().Count, "bit %d", i)
			require.NoError(t, d.Close())
		}
	}
}

func TestNoSilentNewIdentity(t *testing.T) {
	good := func(t *testing.T) *disk.Mem {
		fs := disk.NewMem()
		require.NoError(t, open(t, fs).Close())
		return fs
	}
	for name, text := range map[string]string{
		"it cannot be read": `{"format": 1, "uu`,
		"cannot be read":    "",
		"it is of format 2": `{"format": 2, "uuid": "00112233445566778899aabbccddeeff"}`,
		"checksum is wrong": `{"format": 1, "uuid": "00112233445566778899aabbccddeeff", "boots": 3}`,
	} {
		fs := good(t)
		require.NoError(t, disk.WriteFile(fs, "write", "/node/identity.json", []byte(text)))
		_, err := datadir.Open(fs, "/node", rand.Reader)
		require.ErrorContains(t, err, name)
		got, err := disk.ReadFile(fs, "read", "/node/identity.json")
		require.NoError(t, err)
		require.Equal(t, text, string(got), "the file stays as it is")
	}
	fs := good(t)
	require.NoError(t, fs.Remove("rm", "/node/identity.json"))
	_, err := datadir.Open(fs, "/node", rand.Reader)
	require.ErrorContains(t, err, "identity.json is missing")

	_, err = datadir.Open(disk.NewMem(), "/node", iotest.ErrReader(errors.New("no randomness")))
	require.ErrorContains(t, err, "no randomness")
}

func TestAClusterIsForGood(t *testing.T) {
	fs := disk.NewMem()
	d := open(t, fs)
	require.NoError(t, d.SetCluster("c1"))
	require.NoError(t, d.SetCluster("c1"))
	require.ErrorIs(t, d.SetCluster("c2"), datadir.ErrOtherCluster)
	require.Equal(t, "c1", d.Cluster())
	d = open(t, fs.PowerCut(mathrand.New(mathrand.NewPCG(1, 1))))
	require.Equal(t, "c1", d.Cluster())
}

func TestAcceptedEpochsNeverGoBack(t *testing.T) {
	fs := disk.NewMem()
	d := open(t, fs)
	require.Zero(t, d.AcceptedEpoch(0))
	for e := protocol.Epoch(1); e <= 12; e++ {
		require.NoError(t, d.SetAcceptedEpoch(0, e))
		require.NoError(t, d.SetAcceptedEpoch(0, e))
		require.NoError(t, d.SetAcceptedEpoch(7, e*10))
		require.ErrorContains(t, d.SetAcceptedEpoch(0, e-1), "is over")
		fs = fs.PowerCut(mathrand.New(mathrand.NewPCG(uint64(e), 1)))
		d = open(t, fs)
		require.Equal(t, e, d.AcceptedEpoch(0))
		require.Equal(t, e*10, d.AcceptedEpoch(7))
	}
	f := disk.NewFaulty(fs.Kill())
	d = open(t, f)
	f.Fail("datadir", 2, syscall.EIO)
	require.ErrorIs(t, d.SetAcceptedEpoch(0, 99), syscall.EIO)
	require.EqualValues(t, 12, d.AcceptedEpoch(0), "what is not on the disk is not accepted")
}

func TestADamagedAcceptedEpochIsCorruption(t *testing.T) {
	fs := disk.NewMem()
	d := open(t, fs)
	require.NoError(t, d.SetAcceptedEpoch(3, 5))
	name := d.GroupDir(3) + ".accepted"
	require.NoError(t, d.Close())
	b, err := disk.ReadFile(fs, "read", name)
	require.NoError(t, err)
	changed := strings.Replace(string(b), `"epoch": 5`, `"epoch": 4`, 1)
	require.NotEqual(t, string(b), changed)
	require.NoError(t, disk.WriteFile(fs, "write", name, []byte(changed)))
	d = open(t, fs)
	why, ok := d.Failed(3)
	require.True(t, ok)
	require.Contains(t, why, "group-3.accepted")
	require.NoError(t, d.SetAcceptedEpoch(3, 9), "a corrupt replica still takes records")
	d = open(t, fs.PowerCut(mathrand.New(mathrand.NewPCG(1, 1))))
	_, ok = d.Failed(3)
	require.True(t, ok, "until it is set aside")
}

func TestAFailureIsRememberedUntilTheDataIsSetAside(t *testing.T) {
	fs := disk.NewMem()
	d := open(t, fs)
	_, ok := d.Failed(0)
	require.False(t, ok)
	require.NoError(t, d.MarkFailed(0, "sync records from 9: input/output error"))
	for range 2 {
		why, ok := d.Failed(0)
		require.True(t, ok)
		require.Equal(t, "sync records from 9: input/output error", why)
		_, ok = d.Failed(1)
		require.False(t, ok)
		fs = fs.PowerCut(mathrand.New(mathrand.NewPCG(4, 4)))
		d = open(t, fs)
	}
	require.NoError(t, d.SetAside("corrupt"))
	_, ok = d.Failed(0)
	require.False(t, ok)
}

func TestAMarkThatCouldNotBeWrittenInFullStillCounts(t *testing.T) {
	mem := disk.NewMem()
	f := disk.NewFaulty(mem)
	d := open(t, f)
	f.FailAlways("datadir write", syscall.EIO)
	require.ErrorIs(t, d.MarkFailed(0, "the disk is dying"), syscall.EIO)
	d = open(t, mem.PowerCut(mathrand.New(mathrand.NewPCG(1, 2))))
	why, ok := d.Failed(0)
	require.True(t, ok)
	require.Contains(t, why, "could not write down why")
}

func TestSetAsideMakesAnEmptyReplicaAndKeepsTheOldData(t *testing.T) {
	fs := disk.NewMem()
	d := open(t, fs)
	require.NoError(t, d.SetCluster("c1"))
	old, boot := d.UUID(), d.Boot()
	require.NoError(t, d.SetAcceptedEpoch(0, 5))
	require.NoError(t, disk.MakeDir(fs, "mkdir", d.GroupDir(0)))
	require.NoError(t, disk.WriteFile(fs, "write", filepath.Join(d.GroupDir(0), "data"), []byte("precious")))

	require.NoError(t, d.SetAside("record 7 is damaged"))
	require.NotEqual(t, old, d.UUID())
	require.Equal(t, boot, d.Boot())
	require.Equal(t, "c1", d.Cluster())
	require.Zero(t, d.AcceptedEpoch(0))
	_, err := fs.Stat("stat", d.GroupDir(0))
	require.ErrorIs(t, err, os.ErrNotExist)
	aside := fmt.Sprintf("/node/aside/%s-1", old)
	for name, text := range map[string]string{"group-0/data": "precious", "reason": "record 7 is damaged\n"} {
		b, err := disk.ReadFile(fs, "read", filepath.Join(aside, name))
		require.NoError(t, err)
		require.Equal(t, text, string(b))
	}
}

func TestSetAsideIsOldOrNewAtEveryStep(t *testing.T) {
	outcomes := map[bool]int{}
	for n := 0; ; n++ {
		fs := disk.NewMem()
		d := open(t, fs)
		old := d.UUID()
		require.NoError(t, d.SetCluster("c1"))
		require.NoError(t, d.SetAcceptedEpoch(0, 5))
		require.NoError(t, disk.MakeDir(fs, "mkdir", d.GroupDir(0)))
		require.NoError(t, disk.WriteFile(fs, "write", filepath.Join(d.GroupDir(0), "data"), []byte("precious")))
		fs.StopAfter(n)
		err := d.SetAside("why")
		for seed := range uint64(8) {
			after := fs.PowerCut(mathrand.New(mathrand.NewPCG(seed, uint64(n))))
			again := open(t, after)
			require.Equal(t, "c1", again.Cluster())
			isOld := again.UUID() == old
			outcomes[isOld]++
			place := filepath.Join(again.GroupDir(0), "data")
			if isOld {
				require.Error(t, err)
				require.EqualValues(t, 5, again.AcceptedEpoch(0))
			} else {
				require.Zero(t, again.AcceptedEpoch(0))
				place = fmt.Sprintf("/node/aside/%s-1/group-0/data", old)
			}
			b, rerr := disk.ReadFile(after, "read", place)
			require.NoError(t, rerr, "after %d steps", n)
			require.Equal(t, "precious", string(b))
		}
		if err == nil {
			break
		}
	}
	require.Greater(t, outcomes[true], 8)
	require.Greater(t, outcomes[false], 8)
}

func TestOpenSurvivesAPowerCutAtEveryStep(t *testing.T) {
	for n := 0; ; n++ {
		fs := disk.NewMem()
		fs.StopAfter(n)
		d, err := datadir.Open(fs, "/node", rand.Reader)
		for seed := range uint64(4) {
			again := open(t, fs.PowerCut(mathrand.New(mathrand.NewPCG(seed, uint64(n)))))
			if err == nil {
				require.Equal(t, d.UUID(), again.UUID())
				require.Greater(t, again.Boot().Count, d.Boot().Count, "no count is used twice")
			}
		}
		if err == nil {
			return
		}
	}
}
