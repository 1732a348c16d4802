//go:build unix && !linux

package cluster

import "syscall"

// childAttributes puts a child into a process group of its own, so that a
// Ctrl-C reaches the launcher alone.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
