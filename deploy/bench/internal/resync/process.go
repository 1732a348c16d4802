package resync

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Process is one of the cluster's. PID is 0 while it does not run.
type Process struct {
	Name string
	PID  int
	Dir  string // its data
}

// Memory returns the resident memory of the process in bytes, 0 where it cannot
// be told.
func (p Process) Memory() int64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/status")
	if err != nil || p.PID == 0 {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64) // else 0
			return n << 10
		}
	}
	return 0
}

// Disk returns what the files of the process take on the disk, in bytes. What
// comes and goes meanwhile counts or does not.
func (p Process) Disk() int64 {
	var sum int64
	_ = filepath.WalkDir(p.Dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		if info, err := e.Info(); err == nil {
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				sum += stat.Blocks * 512
			}
		}
		return nil
	})
	return sum
}
