// Package witness watches a cluster from outside and remembers what must never
// go back: the registry's epochs and versions, the epochs that a node accepted,
// the commit seq of a boot; and that an epoch has one primary.
package witness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// Witness remembers what it has seen. Its methods may be called concurrently.
type Witness struct {
	http *http.Client

	mu         sync.Mutex // guards the fields below
	cluster    string
	groups     map[protocol.GroupID]group
	replicas   map[replica]seen
	boots      map[boot]protocol.Seq // the commit seq
	serving    map[reign]protocol.ReplicaBoot
	violations []string
	looks      int
}

type group struct {
	epoch   protocol.Epoch
	version protocol.Version
}

type replica struct {
	uuid  protocol.UUID
	group protocol.GroupID
}

type seen struct {
	epoch protocol.Epoch
	boots uint64
}

type boot struct {
	protocol.ReplicaBoot
	group protocol.GroupID
}

type reign struct {
	epoch protocol.Epoch
	group protocol.GroupID
}

// New returns a witness that has seen nothing.
func New() *Witness {
	return &Witness{
		http:   &http.Client{Timeout: 500 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}},
		groups: map[protocol.GroupID]group{}, replicas: map[replica]seen{},
		boots: map[boot]protocol.Seq{}, serving: map[reign]protocol.ReplicaBoot{},
	}
}

// Watch looks at the monitor and the nodes, given by URL, every so often until
// ctx ends. Who does not answer is passed over.
func (w *Witness) Watch(ctx context.Context, every time.Duration, monitor string, nodes []string) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		w.Look(ctx, monitor, nodes)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Look looks once.
func (w *Witness) Look(ctx context.Context, monitor string, nodes []string) {
	var c wire.Cluster
	if w.get(ctx, monitor+"/v1/cluster", &c) == nil {
		w.Cluster(c)
	}
	for _, n := range nodes {
		var hb wire.Heartbeat
		if w.get(ctx, n+wire.PathProbe, &hb) == nil {
			w.Node(hb)
		}
	}
}

func (w *Witness) get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := w.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// Cluster takes the monitor's word, if it leads: one that has just started may
// show an older state.
func (w *Witness) Cluster(c wire.Cluster) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Leader == "" {
		return
	}
	w.looks++
	if w.cluster != "" && c.Cluster != "" && c.Cluster != w.cluster {
		w.violate("the registry was of cluster %s and is of cluster %s", w.cluster, c.Cluster)
	}
	if c.Cluster != "" {
		w.cluster = c.Cluster
	}
	for _, g := range c.Groups {
		before := w.groups[g.Group]
		if g.Epoch < before.epoch || g.Version < before.version {
			w.violate("the registry went back from epoch %d, version %d to epoch %d, version %d", before.epoch, before.version, g.Epoch, g.Version)
		}
		w.groups[g.Group] = group{max(g.Epoch, before.epoch), max(g.Version, before.version)}
	}
}

// Node takes a node's word.
func (w *Witness) Node(hb wire.Heartbeat) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	for _, g := range hb.Groups {
		w.replica(hb, g)
		w.commit(hb, g)
		w.reign(hb, g)
	}
}

func (w *Witness) replica(hb wire.Heartbeat, g wire.GroupStatus) {
	id := replica{hb.UUID, g.Group}
	before := w.replicas[id]
	if hb.Boot.Count < before.boots {
		return // a late word of an earlier boot
	}
	if g.Epoch < before.epoch {
		w.violate("%s had accepted epoch %d and says epoch %d in boot %s", hb.Name, before.epoch, g.Epoch, hb.Boot)
	}
	w.replicas[id] = seen{max(g.Epoch, before.epoch), hb.Boot.Count}
}

func (w *Witness) commit(hb wire.Heartbeat, g wire.GroupStatus) {
	id := boot{protocol.ReplicaBoot{UUID: hb.UUID, Boot: hb.Boot}, g.Group}
	if before := w.boots[id]; g.Commit < before {
		w.violate("the commit seq of %s went back from %d to %d in boot %s", hb.Name, before, g.Commit, hb.Boot)
	}
	w.boots[id] = max(w.boots[id], g.Commit)
}

func (w *Witness) reign(hb wire.Heartbeat, g wire.GroupStatus) {
	if !g.Serving {
		return
	}
	id, me := reign{g.Epoch, g.Group}, protocol.ReplicaBoot{UUID: hb.UUID, Boot: hb.Boot}
	if other, known := w.serving[id]; known && other != me {
		w.violate("epoch %d was served by boot %s of %s and by boot %s of %s", g.Epoch, other.Boot, other.UUID, me.Boot, me.UUID)
	}
	w.serving[id] = me
}

func (w *Witness) violate(format string, args ...any) {
	w.violations = append(w.violations, fmt.Sprintf(format, args...))
}

// Violations returns everything that went back or was there twice.
func (w *Witness) Violations() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.violations)
}

// Looks returns how many answers were looked at.
func (w *Witness) Looks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looks
}
