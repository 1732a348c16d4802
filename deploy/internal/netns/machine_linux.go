package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// cables names the devices; the kernel puts the lowest free number.
const cables = "cable%d"

// machine is what a host is made of.
type machine struct {
	place   *os.File // the network namespace
	control *os.File // a socket in it, to ask things of its device
	device  string
}

// New makes a network with one host, the Client: this process. The process must
// be isolated (package isolate): its own end of a cable appears in it.
func New() (*Network, error) {
	n := newNetwork()
	h := &Host{name: Client}
	err := h.build(func(number int) (netip.Addr, error) {
		// The device's number is free in this process, so the subnet is.
		if number > 255 {
			return netip.Addr{}, errors.New("there are 256 networks already")
		}
		first := netip.AddrFrom4([4]byte{10, 77, byte(number), 1})
		n.subnet = netip.PrefixFrom(first, 24).Masked()
		return first, nil
	})
	if err != nil {
		n.late.close()
		return nil, fmt.Errorf("make a network: %w", err)
	}
	return n, n.plug(h)
}

// Add adds a host in a network namespace of its own.
func (n *Network) Add(name string) (*Host, error) {
	n.mu.Lock()
	address := n.subnet.Addr().As4()
	address[3] = byte(len(n.names) + 1)
	n.mu.Unlock()
	h := &Host{name: name}
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never undone: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = h.build(func(int) (netip.Addr, error) { return netip.AddrFrom4(address), nil })
		}
		result <- err
	}()
	if err := <-result; err != nil {
		return nil, fmt.Errorf("make host %s: %w", name, err)
	}
	return h, n.plug(h)
}

// build makes the host's device in the namespace of the calling thread. choose
// gives the address, when the number of the device is known.
func (h *Host) build(choose func(number int) (netip.Addr, error)) (err error) {
	m := &machine{}
	h.machine = m
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	if m.place, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket: %w", err)
	}
	m.control = os.NewFile(uintptr(fd), "control")
	cable, device, err := openTUN()
	if err != nil {
		return err
	}
	m.device = device
	if h.address, err = m.configure(choose); err != nil {
		return errors.Join(err, cable.Close())
	}
	h.cable = cable
	return nil
}

// configure gives the device its address and brings it and the loopback up.
func (m *machine) configure(choose func(number int) (netip.Addr, error)) (address netip.Addr, err error) {
	var number int
	if _, err := fmt.Sscanf(m.device, cables, &number); err != nil {
		return address, fmt.Errorf("device %q: %w", m.device, err)
	}
	if address, err = choose(number); err != nil {
		return address, err
	}
	return address, errors.Join(
		m.set(unix.SIOCSIFADDR, m.device, func(r *unix.Ifreq) error { return r.SetInet4Addr(address.AsSlice()) }),
		m.set(unix.SIOCSIFNETMASK, m.device, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 255, 0}) }),
		m.setUp("lo", true),
		m.setUp(m.device, true),
	)
}

// openTUN makes a device in the namespace of the calling thread.
func openTUN() (cable *os.File, device string, err error) {
	const path = "/dev/net/tun"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, "", fmt.Errorf("open %s: %w", path, err)
	}
	request, err := unix.NewIfreq(cables)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("make a TUN device: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), path), request.Name(), nil
}

func (m *machine) setUp(device string, up bool) error {
	return m.set(unix.SIOCSIFFLAGS, device, func(r *unix.Ifreq) error {
		if up {
			r.SetUint16(unix.IFF_UP)
		}
		return nil
	})
}

// set asks something of a device in the machine's namespace.
func (m *machine) set(what uint, device string, fill func(*unix.Ifreq) error) error {
	request, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	if err := fill(request); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(int(m.control.Fd()), what, request); err != nil {
		return fmt.Errorf("set up %s: %w", device, err)
	}
	return nil
}

// Up brings the host's end of its cable up, or takes it down as a machine does
// whose network card is gone: its processes are told that there is no network.
func (h *Host) Up(up bool) error { return h.machine.setUp(h.machine.device, up) }

// Start starts a command on the host.
func (h *Host) Start(cmd *exec.Cmd) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	if err := unix.Setns(int(h.machine.place.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter host %s: %w", h.name, err)
	}
	err = cmd.Start()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(fmt.Sprintf("netns: a thread is lost on host %s: %v", h.name, back))
	}
	return err
}

func (m *machine) close() error {
	if m == nil {
		return nil
	}
	var errs []error
	for _, f := range []*os.File{m.place, m.control} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
