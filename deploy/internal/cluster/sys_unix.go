//go:build unix

package cluster

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock takes an exclusive lock that every process building here takes; it ends
// with the process at the latest.
func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
