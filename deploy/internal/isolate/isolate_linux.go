package isolate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// marker tells the program that has been started again which network it comes
// from.
const marker = "ISOLATED_FROM"

func start(wanted bool, run func(missing error) int) int {
	home, err := network()
	from, again := os.LookupEnv(marker)
	switch {
	case err != nil:
		return run(err)
	case !again && !wanted:
		return run(errors.New("it was asked not to be"))
	case !again:
		return repeat(home, run)
	case from == home:
		return run(fmt.Errorf("it was to have left %s and is still there", home))
	}
	if err := errors.Join(os.Unsetenv(marker), loopback()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run(nil)
}

// network names the network that this process is in.
func network() (string, error) {
	name, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return "", fmt.Errorf("this system has no network namespaces: %w", err)
	}
	return name, nil
}

// repeat starts this program again in new namespaces and waits for it.
func repeat(home string, run func(missing error) int) int {
	// The child is killed when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), marker+"="+home)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = apart()
	if err := cmd.Start(); err != nil {
		return run(fmt.Errorf("this system does not let uid %d make network and mount namespaces: %w", os.Getuid(), err))
	}
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() < 0 {
		fmt.Fprintln(os.Stderr, "the isolated tests ended with", err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

// apart puts a child on a network and into mounts of its own; who is not root
// needs a user namespace for that, and is root in it.
func apart() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Pdeathsig:    syscall.SIGKILL,
		Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
	}
	if os.Geteuid() != 0 {
		attr.Cloneflags = syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// loopback brings the loopback of a new network up.
func loopback() (err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring the loopback up: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bring the loopback up: %w", err)
	}
	return nil
}

func mount(dir string, bytes int64) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		return fmt.Errorf("mount a file system in memory at %s: %w", dir, err)
	}
	return nil
}

func unmount(dir string) error {
	if err := unix.Unmount(dir, 0); err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}
