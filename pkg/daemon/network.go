package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// Network is how a daemon reaches others and is reached: TCP in production, a
// network in memory in tests. Both functions may be called concurrently.
type Network struct {
	Listen func(ctx context.Context, address string) (net.Listener, error)
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// TCP returns the machine's own network. Dialling is bounded by its context.
func TCP() Network {
	return Network{Listen: listenTCP, Dial: new(net.Dialer).DialContext}
}

func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("address %s is in use: stop the other process or choose another with -listen", address)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return ln, nil
}

// CheckAddress refuses what others could not be reached under: name is the flag that
// says it.
func CheckAddress(name, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return fmt.Errorf("%s: %q is not of the form host:port, for example 127.0.0.1:8080", name, address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%s: port %q of %q is not a number from 1 to 65535", name, port, address)
	}
	return nil
}

// CheckListen refuses an address that other machines could reach, unless
// insecure says that this is wanted: nothing asks them who they are.
func CheckListen(address string, insecure bool) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("-listen %q is not of the form host:port, for example 127.0.0.1:8080", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("-listen %q: port %q is not a number from 0 to 65535", address, port)
	}
	if insecure || isLoopback(host) {
		return nil
	}
	return fmt.Errorf("-listen %s would answer any machine without asking who it is: choose a loopback address such as 127.0.0.1:%s, or accept it with -insecure", address, port)
}

// isLoopback knows the name localhost without asking a resolver, which may be
// slow or wrong.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
