package cluster

import "syscall"

// childAttributes puts a child into a process group of its own, so that a
// Ctrl-C reaches the launcher alone, and ties its life to the thread that
// starts it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
