package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"understudy.example/appnode/internal/journal"
	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/disk"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// snapshotCheck is how often the growth of the journal is looked at.
const snapshotCheck = time.Second

// snapshots writes a snapshot whenever the journal has grown by as much as the
// map takes, and by SnapshotBytes at least: so a byte of the journal costs no more
// than one of snapshots, however large the map. It trims what the one before made
// needless, but for what a standby that catches up still needs: so at least as
// much journal stays for one that returns as a snapshot would bring it. On a full
// disk nothing more is written that would end in another snapshot: what was kept
// for standbys goes then.
func (r *Replica) snapshots(ctx context.Context) {
	ticker := time.NewTicker(snapshotCheck)
	defer ticker.Stop()
	previous, due := r.loaded, r.loaded // of the newest snapshot; what may go but for standbys
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if r.full.Load() {
			if err := r.trim(due); err != nil {
				r.log.Error().Err(err).Msg("journal not trimmed on a full disk")
			}
		}
		written := r.written.Load()
		if written-r.snapshotAt.Load() < r.snapshotEvery() {
			continue
		}
		r.snapshotAt.Store(written)
		at, err := r.writeSnapshot(ctx)
		if err == nil {
			due = previous
			err = r.trim(due)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			// The journal still holds everything; it is tried again when that has
			// grown a little more, however large the map.
			r.snapshotAt.Add(r.opts.SnapshotBytes - r.snapshotEvery())
			r.log.Error().Err(err).Msg("snapshot not written")
			continue
		}
		previous = at
	}
}

// trim removes the journal's records below due that no standby needs.
func (r *Replica) trim(due protocol.Seq) error {
	if due == 0 {
		return nil
	}
	return r.opts.Journal.Trim(r.keepFrom(due))
}

// snapshotEvery returns how much the journal grows between two snapshots, in
// bytes.
func (r *Replica) snapshotEvery() int64 { return max(r.opts.SnapshotBytes, r.view.Load().Bytes()) }

func (r *Replica) writeSnapshot(ctx context.Context) (protocol.Seq, error) {
	began := time.Now()
	view := r.view.Load()
	err := r.opts.Journal.WriteSnapshot(r.meta(view), func(w io.Writer) error { return view.EncodeTo(until{ctx, w}) })
	r.opts.Metrics.wrote(began, err)
	if err != nil {
		return 0, fmt.Errorf("write a snapshot at %s: %w", view.Position(), err)
	}
	r.log.Info().Stringer("position", view.Position()).Int("keys", view.Len()).Dur("took_ms", time.Since(began)).Msg("snapshot written")
	return view.Position().Seq, nil
}

// until writes until ctx ends.
type until struct {
	ctx context.Context
	w   io.Writer
}

// Write implements [io.Writer].
func (u until) Write(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.w.Write(p)
}

// meta describes a snapshot of view. The journal adds the boundaries.
func (r *Replica) meta(view *store.View) journal.Meta {
	return journal.Meta{
		Cluster: r.opts.Cluster(), Group: r.opts.Group, Position: view.Position(), GroupTime: view.GroupTime(),
	}
}

// ServeSnapshot sends the applied state to a standby whose journal ends before
// this one begins.
func (r *Replica) ServeSnapshot(w http.ResponseWriter, _ *http.Request) {
	if !r.serving.Load() {
		r.mu.Lock()
		err := r.notServing()
		r.mu.Unlock()
		problem.Write(w, err)
		return
	}
	view := r.view.Load()
	defer r.holdJournal(view.Position().Seq)()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Connection", "close") // its deadlines stay with it
	w.Header().Set(wire.HeaderPosition, view.Position().String())
	done := r.opts.Metrics.send()
	err := r.opts.Journal.StreamSnapshot(countedWriter{patient{w}, r.opts.Metrics.sentBytes}, r.meta(view), view.EncodeTo)
	done(err)
	if err != nil {
		// The standby sees a snapshot without its end and asks again.
		r.log.Warn().Err(err).Msg("snapshot not sent whole")
	}
}

// snapshotPatience is how long a standby may take no byte of a snapshot: its disk
// may stall meanwhile. One that is frozen would keep the state and the journal here
// for ever.
const snapshotPatience = 30 * time.Second

// patient is an answer that is given up when its reader takes nothing of it.
type patient struct{ http.ResponseWriter }

// Write implements [io.Writer].
func (p patient) Write(b []byte) (int, error) {
	// An answer that knows no deadline is no connection's, and waits for nobody.
	_ = http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(snapshotPatience))
	return p.ResponseWriter.Write(b)
}

// fetchSnapshot replaces this replica's history with the primary's snapshot.
// The old journal stays until the new copy is verified. It runs when no other
// goroutine writes the journal.
func (r *Replica) fetchSnapshot(ctx context.Context, primary protocol.UUID, welcome welcomeMessage) error {
	address, ok := r.opts.Address(primary)
	if !ok {
		return errors.New("the primary's address is not known any more")
	}
	r.log.Warn().Uint64("have", uint64(welcome.Part)).Msg("the primary's journal no longer reaches back, fetching a snapshot")
	done := r.opts.Metrics.fetch()
	err := r.fetchFrom(ctx, address)
	done(err)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotFilled, err)
	}
	return errors.New("reconnecting with the snapshot installed")
}

// errNotFilled tells that a snapshot of the primary's could not be put in the place
// of what is here.
var errNotFilled = errors.New("this copy was not filled")

func (r *Replica) fetchFrom(ctx context.Context, address string) error {
	transport := &http.Transport{DialContext: r.dialImpatient, DisableCompression: true, ResponseHeaderTimeout: dialTimeout}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s%s?group=%d", address, wire.PathSnapshot, r.opts.Group), nil)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("fetch a snapshot: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // the status tells enough
		return problem.Parse(res.StatusCode, res.Header, body)
	}
	return r.install(countedReader{res.Body, r.opts.Metrics.fetchBytes})
}

// dialImpatient dials a connection on which no read waits for longer than
// silence: a transfer that stalls on a half-open connection must end, so that
// it is begun again.
func (r *Replica) dialImpatient(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := r.opts.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return impatient{conn}, nil
}

type impatient struct{ net.Conn }

// Read implements [net.Conn].
func (c impatient) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (r *Replica) install(body io.Reader) error {
	r.mu.Lock()
	least := r.core.Commit()
	r.mu.Unlock()
	meta, err := r.opts.Journal.InstallSnapshot(body, func(m journal.Meta) error {
		if m.Cluster != r.opts.Cluster() || m.Group != r.opts.Group {
			return problem.Errorf(problem.WrongCluster, "the snapshot is of cluster %s, group %d", m.Cluster, m.Group)
		}
		if m.Position.Seq < least {
			return fmt.Errorf("the snapshot ends at %s, below the committed %d", m.Position, least)
		}
		return nil
	})
	if disk.IsFull(err) {
		r.fillUp(err)
	}
	if err != nil {
		return fmt.Errorf("install the snapshot: %w", err)
	}
	m, err := r.loadSnapshot()
	if err != nil {
		// What was just verified cannot be read: the disk lies, or the state is
		// of a form that this release does not know.
		r.die(err)
		return err
	}
	m.LimitBytes(r.opts.MaxBytes)
	r.mu.Lock()
	r.core.Installed(meta.Position, meta.Boundaries)
	r.applied, r.pending = m, pending{}
	r.snapshotAt.Store(r.written.Load())
	view := m.View()
	r.feed.reset(view.Position(), func() { r.view.Store(view) })
	r.wakeReaders()
	r.mu.Unlock()
	r.log.Info().Stringer("position", meta.Position).Int("keys", m.Len()).Msg("snapshot installed")
	return nil
}
