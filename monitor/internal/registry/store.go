package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const logFile = "registry.db"

// openStore opens Raft's log and holds the directory for this process.
func openStore(ctx context.Context, dir string) (*raftboltdb.BoltStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	options := &bbolt.Options{Timeout: lockWait(ctx), FreelistType: bbolt.FreelistMapType}
	path := filepath.Join(dir, logFile)
	var store *raftboltdb.BoltStore
	err := guard(func() (err error) {
		if err := checkFile(path, *options); err != nil {
			return err
		}
		store, err = raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: options})
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("another process uses the data directory %s: stop it or give another directory", dir)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := syncDir(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("sync data directory: %w", err), store.Close())
	}
	return store, nil
}

func lockWait(ctx context.Context) time.Duration {
	wait := lockTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	return max(wait, time.Nanosecond) // 0 would wait for ever
}

// checkFile reads a whole database without writing to it, so that a damaged
// one is told before anything trusts it.
func checkFile(path string, options bbolt.Options) (err error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || (err == nil && info.Size() == 0) {
		return nil // made anew
	}
	if err != nil {
		return err
	}
	options.ReadOnly = true
	db, err := bbolt.Open(path, 0o600, &options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("the file is cut off: it has %d bytes of %d", info.Size(), tx.Size())
		}
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(_, _ []byte) error { return nil })
		})
	})
}

// checkLog reads every entry of the log, so that one that cannot be read is
// told at the start and not in the middle of a failover.
func checkLog(logs raft.LogStore) error {
	first, err := logs.FirstIndex()
	if err != nil {
		return fmt.Errorf("read registry log: %w", err)
	}
	last, err := logs.LastIndex()
	if err != nil {
		return fmt.Errorf("read registry log: %w", err)
	}
	for i := first; i <= last && i > 0; i++ {
		var entry raft.Log
		if err := logs.GetLog(i, &entry); err != nil {
			return fmt.Errorf("read log entry %d of the registry: %w", i, err)
		}
		if entry.Type != raft.LogCommand {
			continue
		}
		if _, err := decodeCommand(entry.Data); err != nil {
			return fmt.Errorf("read log entry %d of the registry: %w", i, err)
		}
	}
	return nil
}

// bootstrap makes an empty directory a cluster of one voter.
func bootstrap(conf *raft.Config, store *raftboltdb.BoltStore, snapshots raft.SnapshotStore, transport raft.Transport) error {
	voter := raft.Server{ID: conf.LocalID, Address: transport.LocalAddr()}
	err := raft.BootstrapCluster(conf, store, unborn{store}, snapshots, transport, raft.Configuration{Servers: []raft.Server{voter}})
	if err != nil && !errors.Is(err, raft.ErrCantBootstrap) {
		return fmt.Errorf("bootstrap raft: %w", err)
	}
	return nil
}

// unborn hides a term without a log. A bootstrap writes the term first; one
// that a crash cut off between the two would otherwise never be completed. No
// election can have been held in that term, for it had no voters.
type unborn struct{ raft.StableStore }

// GetUint64 implements [raft.StableStore].
func (unborn) GetUint64([]byte) (uint64, error) { return 0, raftboltdb.ErrKeyNotFound }

// guard runs f and returns a panic, or a fault on a mapped file, as an error.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the file is damaged: %v", p)
		}
	}()
	return f()
}
