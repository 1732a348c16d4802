package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

const (
	acceptedSuffix = ".accepted"
	failedSuffix   = ".failed"
	maxReason      = 4 << 10
)

// acceptedFile is the contents of group-N.accepted.
type acceptedFile struct {
	seal
	Epoch protocol.Epoch `json:"epoch"`
}

// GroupDir returns the directory of a group's journal. It changes with the uuid.
func (d *Dir) GroupDir(g protocol.GroupID) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.groupPath(g, "")
}

// dataDir and groupPath are for callers that hold mu or turn.
func (d *Dir) dataDir() string { return filepath.Join(d.dir, dataPrefix+string(d.identity.UUID)) }

func (d *Dir) groupPath(g protocol.GroupID, suffix string) string {
	return filepath.Join(d.dataDir(), fmt.Sprintf("group-%d%s", g, suffix))
}

// loadData reads what the replica has accepted and where it has failed.
func (d *Dir) loadData() error {
	d.mu.Lock()
	d.accepted = map[protocol.GroupID]protocol.Epoch{}
	d.failed = map[protocol.GroupID]string{}
	d.mu.Unlock()
	if err := disk.MakeDir(d.fs, op, d.dataDir()); err != nil {
		return err
	}
	// What the process before renamed must not be undone after it was read.
	if err := d.fs.SyncDir(op, d.dataDir()); err != nil {
		return err
	}
	names, err := d.fs.ReadDir(op, d.dataDir())
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := d.loadFile(n.Name()); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dir) loadFile(name string) error {
	if g, ok := groupOf(name, failedSuffix); ok {
		b, err := disk.ReadFile(d.fs, op, d.groupPath(g, failedSuffix))
		if err != nil {
			return err
		}
		d.mu.Lock()
		d.failed[g] = reason(string(b))
		d.mu.Unlock()
	}
	g, ok := groupOf(name, acceptedSuffix)
	if !ok {
		return nil
	}
	b, err := disk.ReadFile(d.fs, op, d.groupPath(g, acceptedSuffix))
	if err != nil {
		return err
	}
	var a acceptedFile
	err = decode(b, &a)
	if newer, ok := errors.AsType[formatError](err); ok {
		return fmt.Errorf("%s: %w", name, newer)
	}
	if err != nil {
		// Which epochs it has refused is not known any more: the replica cannot
		// be trusted, and says so until it has been set aside.
		return d.markFailed(g, fmt.Sprintf("the accepted epoch is not known: %s: %v", name, err))
	}
	d.mu.Lock()
	d.accepted[g] = a.Epoch
	d.mu.Unlock()
	return nil
}

// groupOf returns the group whose file with the given suffix has this name.
func groupOf(name, suffix string) (g protocol.GroupID, ok bool) {
	if _, err := fmt.Sscanf(name, "group-%d", &g); err != nil {
		return 0, false
	}
	return g, name == fmt.Sprintf("group-%d%s", g, suffix)
}

// AcceptedEpoch returns the highest epoch that the replica has accepted in a
// group, 0 if none.
func (d *Dir) AcceptedEpoch(g protocol.GroupID) protocol.Epoch {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.accepted[g]
}

// SetAcceptedEpoch accepts an epoch, durably when it returns. To go back is
// refused.
func (d *Dir) SetAcceptedEpoch(g protocol.GroupID, e protocol.Epoch) error {
	defer d.take()()
	switch has := d.accepted[g]; {
	case e == has:
		return nil
	case e < has:
		return fmt.Errorf("epoch %d of group %d has been accepted: epoch %d is over", has, g, e)
	}
	b, err := encode(&acceptedFile{Epoch: e})
	if err == nil {
		err = disk.WriteFile(d.fs, op, d.groupPath(g, acceptedSuffix), b)
	}
	if err != nil {
		return fmt.Errorf("accept epoch %d of group %d: %w", e, g, err)
	}
	d.mu.Lock()
	d.accepted[g] = e
	d.mu.Unlock()
	return nil
}

// Made tells whether the data of a group was made in this directory before. If
// it is not there any more it is lost, and not new.
func (d *Dir) Made(g protocol.GroupID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.identity.Made, g)
}

// SetMade remembers, durably, that the data of a group has been made.
func (d *Dir) SetMade(g protocol.GroupID) error {
	defer d.take()()
	if slices.Contains(d.identity.Made, g) {
		return nil
	}
	next := d.identity
	next.Made = append(slices.Clip(next.Made), g)
	if err := d.replaceIdentity(next); err != nil {
		return fmt.Errorf("remember that group %d was made: %w", g, err)
	}
	return nil
}

// MarkFailed leaves a mark that makes this and every later start count the
// group's data as corrupt, until it is set aside. It tries its best on a disk
// that may be the very reason; the error says that the mark may not be durable.
func (d *Dir) MarkFailed(g protocol.GroupID, why string) error {
	defer d.take()()
	return d.markFailed(g, why)
}

func (d *Dir) markFailed(g protocol.GroupID, why string) (err error) {
	why = reason(why)
	d.mu.Lock()
	d.failed[g] = why
	d.mu.Unlock()
	// The file's being there is the mark, so it is made in place and made
	// durable before there is anything in it.
	f, err := d.fs.OpenFile(op, d.groupPath(g, failedSuffix), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("mark group %d as failed: %w", g, err)
	}
	err = d.fs.SyncDir(op, d.dataDir())
	_, werr := f.Write([]byte(why + "\n"))
	if err = errors.Join(err, werr, f.Sync(op), f.Close()); err != nil {
		return fmt.Errorf("mark group %d as failed: %w", g, err)
	}
	return nil
}

// reason makes a sentence of what a mark holds; one cut short by a crash may
// hold nothing.
func reason(s string) string {
	s = strings.Trim(s, "\x00\n ")
	if s == "" {
		return "an earlier process gave the data up, and could not write down why"
	}
	return s[:min(len(s), maxReason)]
}

// Failed returns why the group's data counts as corrupt, if it has been marked.
func (d *Dir) Failed(g protocol.GroupID) (why string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	why, ok = d.failed[g]
	return why, ok
}

// SetAside moves all data of the replica into aside/UUID-N, with a file reason
// beside it, and makes the directory that of a new, empty replica with a new
// uuid; it keeps the cluster, the boot and the count of boots. A crash leaves
// either the old replica or the new. After an error it is the next Open that
// tells which.
func (d *Dir) SetAside(why string) error {
	defer d.take()()
	if err := disk.WriteFile(d.fs, op, filepath.Join(d.dataDir(), "reason"), []byte(why+"\n")); err != nil {
		return fmt.Errorf("set data aside: %w", err)
	}
	uuid, err := d.hex(16)
	if err != nil {
		return fmt.Errorf("set data aside: %w", err)
	}
	next := d.identity
	next.UUID, next.Made = protocol.UUID(uuid), nil
	if err := d.replaceIdentity(next); err != nil {
		return fmt.Errorf("set data aside: %w", err)
	}
	if err := d.loadData(); err != nil {
		return fmt.Errorf("make the data directory of %s: %w", uuid, err)
	}
	return d.moveOld()
}

// moveOld moves the data of every other uuid aside. A crash may have come
// between the change of the uuid and the move.
func (d *Dir) moveOld() error {
	names, err := d.fs.ReadDir(op, d.dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		old, ok := strings.CutPrefix(n.Name(), dataPrefix)
		if !ok || protocol.UUID(old) == d.identity.UUID {
			continue
		}
		if err := d.moveAside(n.Name(), old); err != nil {
			return fmt.Errorf("move %s aside: %w", n.Name(), err)
		}
	}
	return nil
}

func (d *Dir) moveAside(name, uuid string) error {
	aside := filepath.Join(d.dir, asideName)
	if err := disk.MakeDir(d.fs, op, aside); err != nil {
		return err
	}
	for i := 1; ; i++ {
		to := filepath.Join(aside, fmt.Sprintf("%s-%d", uuid, i))
		_, err := d.fs.Stat(op, to)
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := d.fs.Rename(op, filepath.Join(d.dir, name), to); err != nil {
			return err
		}
		return errors.Join(d.fs.SyncDir(op, aside), d.fs.SyncDir(op, d.dir))
	}
}
