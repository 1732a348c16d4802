package understudy

import (
	"context"
	"fmt"
	"sync"

	"understudy.example/pkg/courier"
	"understudy.example/pkg/wire"
)

// directory is what the monitors have told of the primary. It implements
// [courier.Directory].
type directory struct {
	mu      sync.Mutex // guards the fields below
	known   wire.PrimaryEvent
	changed chan struct{} // closed when known is another
	// reign ends when the primary is another, at another address or in another
	// epoch.
	reign context.Context
	end   context.CancelFunc

	monitor string // whose stream is open; "": none
	missing error  // why there is none
	// attendance ends when that stream does.
	attendance context.Context
	leave      context.CancelFunc
}

func newDirectory() *directory {
	d := &directory{changed: make(chan struct{})}
	d.reign, d.end = context.WithCancel(context.Background())
	d.attendance, d.leave = context.WithCancel(context.Background())
	d.leave()
	return d
}

// Primary implements [courier.Directory].
func (d *directory) Primary() (courier.Target, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return targetOf(d.known), d.changed
}

func targetOf(e wire.PrimaryEvent) courier.Target {
	return courier.Target{Name: e.Name, Address: e.Address, Epoch: e.Epoch}
}

// primary returns the primary's address, "" for none, with a context that ends
// when that is another, and a channel that is closed with any news.
func (d *directory) primary() (address string, reign context.Context, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known.Address, d.reign, d.changed
}

// host returns the monitor whose stream is open, "" for none, with a context
// that ends when it no longer is.
func (d *directory) host() (address string, attendance context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.monitor, d.attendance
}

// serves tells whether a monitor that can be asked now holds the node at the
// address for a primary that serves.
func (d *directory) serves(address string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.monitor != "" && d.known.Serving && d.known.Address == address
}

// trouble returns why no monitor can be asked, or nil.
func (d *directory) trouble() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.missing
}

// take notes what a monitor says of the primary. One that lags behind what is
// known already says nothing new. A cluster other than the first is refused: the
// ids and positions of this client mean nothing there.
func (d *directory) take(monitor string, e wire.PrimaryEvent) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known.Cluster != "" && e.Cluster != d.known.Cluster {
		return fmt.Errorf("the monitor at %s is of cluster %q, and this client of cluster %q", monitor, e.Cluster, d.known.Cluster)
	}
	if d.monitor != monitor {
		d.monitor, d.missing = monitor, nil
		d.attendance, d.leave = context.WithCancel(context.Background())
	}
	if e == d.known || e.Epoch < d.known.Epoch || e.Version < d.known.Version {
		return nil
	}
	if targetOf(e) != targetOf(d.known) {
		d.end()
		d.reign, d.end = context.WithCancel(context.Background())
	}
	d.known = e
	close(d.changed)
	d.changed = make(chan struct{})
	return nil
}

// lost notes that a monitor's stream has ended, or was not to be had.
func (d *directory) lost(why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leave()
	d.monitor, d.missing = "", why
}
