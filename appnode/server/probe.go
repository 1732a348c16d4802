package server

import (
	"errors"
	"os"
	"time"
)

// probeOnce writes the time to a file and waits until it is on the disk.
func (n *node) probeOnce(name string) (err error) {
	const op = "disk probe"
	f, err := n.opts.Files.OpenFile(op, name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteAt([]byte(time.Now().UTC().Format(time.RFC3339Nano)+"\n"), 0); err != nil {
		return err
	}
	return f.Datasync(op)
}
