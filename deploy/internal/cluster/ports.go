package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"syscall"
)

// monitorStep is the distance between the ports of two monitors; the nodes have
// the ports between the first two.
const monitorStep = 10

// plan gives every process its address: monitors at port, port+10, …; nodes at
// port+1, port+2, …. With port 0 all are free ports of the machine's choice.
func plan(ctx context.Context, opts Options) (monitors, nodes []string, err error) {
	if opts.Hosts != nil {
		monitors, nodes = opts.hosted()
		return monitors, nodes, nil
	}
	if opts.Port == 0 {
		all, err := FreeAddresses(ctx, opts.Monitors+opts.Nodes)
		if err != nil {
			return nil, nil, err
		}
		return all[:opts.Monitors], all[opts.Monitors:], nil
	}
	for i := range opts.Monitors {
		monitors = append(monitors, loopback(opts.Port+i*monitorStep))
	}
	for i := range opts.Nodes {
		nodes = append(nodes, loopback(opts.Port+1+i))
	}
	for _, address := range append(append([]string(nil), monitors...), nodes...) {
		if err := checkFree(ctx, address); err != nil {
			return nil, nil, err
		}
	}
	return monitors, nodes, nil
}

// hosted asks the machines for the addresses.
func (o *Options) hosted() (monitors, nodes []string) {
	for i := range o.Monitors {
		monitors = append(monitors, o.Hosts.Address(monitorName(i)))
	}
	for i := range o.Nodes {
		nodes = append(nodes, o.Hosts.Address(nodeName(i)))
	}
	return monitors, nodes
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func checkFree(ctx context.Context, address string) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("address %s is in use: stop the other process, or move all ports with -port", address)
	case err != nil:
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	return ln.Close()
}

// Free ports are chosen below those that systems give to outgoing connections:
// while a process is dead, no connection may take the port that it comes back
// to.
const firstFree, lastFree = 10_000, 30_000

// FreeAddresses finds n different free ports of the loopback, as host:port. Another process may take one
// before it is used; its owner then says so and ends.
func FreeAddresses(ctx context.Context, n int) ([]string, error) {
	var addresses []string
	for range 100 * n {
		address := loopback(firstFree + rand.IntN(lastFree-firstFree))
		if slices.Contains(addresses, address) || checkFree(ctx, address) != nil {
			continue
		}
		if addresses = append(addresses, address); len(addresses) == n {
			return addresses, nil
		}
	}
	return nil, fmt.Errorf("find %d free ports from %d to %d: too many are taken", n, firstFree, lastFree)
}
