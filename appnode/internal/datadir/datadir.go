// Package datadir is the one data directory of a node: locked, with an identity
// of its own, and with what a node must not forget besides its journals.
//
//	identity.json   cluster, uuid, boot count; replaced as a whole
//	lock            held while a process uses the directory
//	data-UUID/      everything of the replica with that uuid
//	aside/          data of earlier uuids, kept for people and never removed
//
// The uuid in identity.json says which data counts. To set data aside is to
// replace that one file: before, the old data is the replica's; after, the
// replica is empty and new. The operation name of every file access is
// "datadir".
package datadir

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

const (
	op           = "datadir"
	format       = 1
	identityName = "identity.json"
	lockName     = "lock"
	asideName    = "aside"
	dataPrefix   = "data-"
)

// ErrOtherCluster is wrapped by SetCluster's error for a directory that belongs
// to another cluster.
var ErrOtherCluster = errors.New("the data directory belongs to another cluster")

// Dir is an open data directory. Calls may run at the same time, but for
// SetAside, which must run alone and with every file of the groups closed.
type Dir struct {
	fs     disk.FS
	dir    string
	random io.Reader
	lock   io.Closer
	nonce  string

	// turn is held by whoever changes files. It is a channel and not a mutex
	// because it is held while a disk is waited for.
	turn chan struct{}

	mu       sync.Mutex // guards the fields below; never held during I/O. Only the holder of turn changes them
	identity identity
	accepted map[protocol.GroupID]protocol.Epoch
	failed   map[protocol.GroupID]string
}

// identity is the contents of identity.json.
type identity struct {
	seal
	Cluster string        `json:"cluster,omitempty"`
	UUID    protocol.UUID `json:"uuid"`
	Boots   uint64        `json:"boots"`
	// Made lists the groups whose data was made here, so that data which is
	// missing is not taken for new.
	Made []protocol.GroupID `json:"made,omitempty"`
}

// Open opens and locks the data directory dir, making what is missing, and
// counts one more boot, durably. random gives the uuid of a new directory and
// the boot's random part. A directory that another process uses is refused with
// disk.ErrLocked; one whose identity cannot be read is never given a new one.
func Open(fsys disk.FS, dir string, random io.Reader) (*Dir, error) {
	if err := disk.MakeDir(fsys, op, dir); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	lock, err := fsys.Lock(op, filepath.Join(dir, lockName))
	if errors.Is(err, disk.ErrLocked) {
		return nil, fmt.Errorf("data directory %s: %w: stop that process or give this node a directory of its own", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", dir, err)
	}
	d := &Dir{fs: fsys, dir: dir, random: random, lock: lock, turn: make(chan struct{}, 1)}
	if err := d.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: %w", dir, err), lock.Close())
	}
	return d, nil
}

func (d *Dir) start() error {
	if err := d.readIdentity(); err != nil {
		return err
	}
	d.identity.Boots++
	if err := d.writeIdentity(d.identity); err != nil {
		return err
	}
	nonce, err := d.hex(4)
	if err != nil {
		return err
	}
	d.nonce = nonce
	if err := d.moveOld(); err != nil {
		return err
	}
	return d.loadData()
}

func (d *Dir) readIdentity() error {
	b, err := disk.ReadFile(d.fs, op, filepath.Join(d.dir, identityName))
	if errors.Is(err, fs.ErrNotExist) {
		return d.makeIdentity()
	}
	if err != nil {
		return err
	}
	if err := decode(b, &d.identity); err != nil {
		return fmt.Errorf("%s: %w: restore it, or start the node on an empty directory", identityName, err)
	}
	return nil
}

func (d *Dir) makeIdentity() error {
	names, err := d.fs.ReadDir(op, d.dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasPrefix(n.Name(), dataPrefix) || n.Name() == asideName {
			return fmt.Errorf("%s is missing, and %s shows that there was one: restore it, or start the node on an empty directory", identityName, n.Name())
		}
	}
	uuid, err := d.hex(16)
	d.identity = identity{UUID: protocol.UUID(uuid)}
	return err
}

// hex returns n random bytes as hexadecimal digits.
func (d *Dir) hex(n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(d.random, b); err != nil {
		return "", fmt.Errorf("read random bytes: %w", err)
	}
	return hex.EncodeToString(b), nil
}

func (d *Dir) writeIdentity(i identity) error {
	b, err := encode(&i)
	if err != nil {
		return fmt.Errorf("encode %s: %w", identityName, err)
	}
	return disk.WriteFile(d.fs, op, filepath.Join(d.dir, identityName), b)
}

// UUID names the replica in this directory.
func (d *Dir) UUID() protocol.UUID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.identity.UUID
}

// Boot names this start of the node.
func (d *Dir) Boot() protocol.Boot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return protocol.Boot{Count: d.identity.Boots, Nonce: d.nonce}
}

// Cluster returns the id of the cluster that the directory belongs to, "" while
// it belongs to none.
func (d *Dir) Cluster() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.identity.Cluster
}

// SetCluster makes the directory belong to a cluster, durably, for good. For one
// that belongs to another the error wraps ErrOtherCluster.
func (d *Dir) SetCluster(id string) error {
	defer d.take()()
	switch d.identity.Cluster {
	case id:
		return nil
	case "":
	default:
		return fmt.Errorf("%w: to %s, not to %s", ErrOtherCluster, d.identity.Cluster, id)
	}
	next := d.identity
	next.Cluster = id
	return d.replaceIdentity(next)
}

// take takes the turn to change files, and returns what gives it back.
func (d *Dir) take() func() {
	d.turn <- struct{}{}
	return func() { <-d.turn }
}

// replaceIdentity makes another identity durable, and then the present one. The
// caller holds turn.
func (d *Dir) replaceIdentity(next identity) error {
	if err := d.writeIdentity(next); err != nil {
		return err
	}
	d.mu.Lock()
	d.identity = next
	d.mu.Unlock()
	return nil
}

// Close lets another process use the directory.
func (d *Dir) Close() error { return d.lock.Close() }
