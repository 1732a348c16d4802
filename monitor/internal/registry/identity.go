package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"
)

const identityFile = "identity.json"

// identity says whose data directory it is. The uuid makes a monitor that lost
// its disk a new voter: it cannot vote twice in a term it has forgotten.
type identity struct {
	Format int    `json:"format"`
	Name   string `json:"name"`
	UUID   string `json:"uuid"`
}

func (i identity) raftID() raft.ServerID { return raft.ServerID(i.Name + "-" + i.UUID) }

// monitorName returns the name within a Raft id, or "" of an empty one.
func monitorName(id raft.ServerID) string {
	if i := strings.LastIndexByte(string(id), '-'); i >= 0 {
		return string(id[:i])
	}
	return ""
}

// openIdentity reads the directory's identity, or makes one where the log is
// still empty.
func openIdentity(o Options, logs raft.LogStore) (identity, error) {
	path := filepath.Join(o.Dir, identityFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createIdentity(o, path, logs)
	}
	if err != nil {
		return identity{}, fmt.Errorf("read identity: %w", err)
	}
	var id identity
	if err := json.Unmarshal(data, &id); err != nil {
		return identity{}, fmt.Errorf("%s is damaged: %w", path, err)
	}
	switch {
	case id.Format != format:
		return identity{}, fmt.Errorf("%s has format %d, and this release reads format %d", path, id.Format, format)
	case id.Name == "" || id.UUID == "":
		return identity{}, fmt.Errorf("%s is damaged: it must hold a name and a uuid", path)
	case id.Name != o.Name:
		return identity{}, fmt.Errorf("the data directory %s belongs to monitor %q, not to %q: give the one's name or another directory", o.Dir, id.Name, o.Name)
	}
	return id, nil
}

func createIdentity(o Options, path string, logs raft.LogStore) (identity, error) {
	last, err := logs.LastIndex()
	if err != nil {
		return identity{}, fmt.Errorf("read registry log: %w", err)
	}
	if last > 0 {
		return identity{}, fmt.Errorf("%s is missing beside a registry log that is not empty: restore it, or remove the whole directory to start a new monitor", path)
	}
	uuid, err := randomID(o.Rand)
	if err != nil {
		return identity{}, fmt.Errorf("make a uuid: %w", err)
	}
	id := identity{Format: format, Name: o.Name, UUID: uuid}
	data, err := json.Marshal(id)
	if err != nil {
		return identity{}, fmt.Errorf("encode identity: %w", err)
	}
	if err := writeFile(path, data); err != nil {
		return identity{}, fmt.Errorf("write identity: %w", err)
	}
	return id, nil
}

// writeFile puts data in path so that a crash leaves the old file or the new.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
