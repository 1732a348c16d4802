package replica

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

// desk is a registry that a test has in its hands: it judges proposals as the
// real one does, and promotes whom the test names.
type desk struct {
	rig *rig

	mu  sync.Mutex // guards the fields below
	reg protocol.Registry
	// muted members are out of reach: their proposals are lost, and no record
	// gets to them.
	muted    map[string]bool
	asked    []protocol.ChangeInSync // all proposals, also the lost ones
	settings protocol.Settings
}

func newDesk(r *rig) *desk {
	d := &desk{rig: r, muted: map[string]bool{}, settings: protocol.DefaultSettings()}
	d.settings.WantCopies = 3
	d.apply(protocol.Command{Found: &protocol.Found{Cluster: testCluster, Settings: d.settings}})
	return d
}

// apply changes the registry and tells everybody in reach.
func (d *desk) apply(c protocol.Command) {
	d.rig.t.Helper()
	d.mu.Lock()
	next, refusal := d.reg.Apply(c)
	if refusal == nil {
		d.reg = next
	}
	d.mu.Unlock()
	if refusal != nil {
		require.FailNow(d.rig.t, "the desk refuses its own command", refusal.Detail)
	}
	d.tellAll()
}

func (d *desk) registry() protocol.Registry {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reg
}

func (d *desk) record() protocol.GroupRecord { return d.registry().Groups[0] }

// tellAll hands the newest record to every member in reach.
func (d *desk) tellAll() {
	rec := d.record()
	for _, m := range d.rig.members {
		if replica := d.replicaOf(m); replica != nil && !d.isMuted(m.name) {
			replica.Settings(d.settings)
			replica.Assign(rec)
		}
	}
}

// runs notes which replica runs on a member: a primary's proposal has the desk tell
// everybody at any moment.
func (d *desk) runs(m *member, r *Replica) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m.replica = r
}

func (d *desk) replicaOf(m *member) *Replica {
	d.mu.Lock()
	defer d.mu.Unlock()
	return m.replica
}

func (d *desk) isMuted(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.muted[name]
}

func (d *desk) mute(name string, muted bool) {
	d.mu.Lock()
	d.muted[name] = muted
	d.mu.Unlock()
	if !muted {
		d.tellAll()
	}
}

// propose judges a primary's wish. A refusal is an answer that the primary
// learns from records.
func (d *desk) propose(from string, c protocol.ChangeInSync) {
	d.mu.Lock()
	d.asked = append(d.asked, c)
	if d.muted[from] {
		d.mu.Unlock()
		return
	}
	if next, refusal := d.reg.Apply(protocol.Command{ChangeInSync: &c}); refusal == nil {
		d.reg = next
	}
	d.mu.Unlock()
	d.tellAll()
}

// reasons lists why sets were asked for, each once.
func (d *desk) reasons() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, c := range d.asked {
		if !slices.Contains(out, c.Reason) {
			out = append(out, c.Reason)
		}
	}
	return out
}

// register enters a member's present boot, and makes it a member of the group.
func (d *desk) register(m *member) {
	d.apply(protocol.Command{Register: &protocol.Register{
		Node:  protocol.NodeEntry{Name: m.name, UUID: m.dir.UUID(), Boot: m.dir.Boot(), Address: m.address(), Priority: 50},
		Empty: m.journal.Last().Seq == 0,
	}})
	if rec := d.record(); !rec.IsMember(m.dir.UUID()) {
		d.apply(protocol.Command{SetMembers: &protocol.SetMembers{
			Version: rec.Version, Members: append(slices.Clone(rec.Members), m.dir.UUID()), Reason: m.name,
		}})
	}
}

// promote makes a member the primary of the next epoch, holding the others that
// are named for down.
func (d *desk) promote(name string, down ...string) {
	d.rig.t.Helper()
	m := d.rig.member(name)
	var uuids []protocol.UUID
	for _, n := range down {
		uuids = append(uuids, d.rig.member(n).dir.UUID())
	}
	d.apply(protocol.Command{Promote: &protocol.Promote{
		Version: d.record().Version, Primary: m.boot(), Down: uuids, Reason: "the test says so",
	}})
}

// inSync returns the names of the in-sync set.
func (d *desk) inSync() []string {
	reg := d.registry()
	var names []string
	for _, u := range reg.Groups[0].InSync {
		names = append(names, reg.NameOf(u))
	}
	slices.Sort(names)
	return names
}

// waitInSync waits until exactly these members are in sync and the primary
// serves.
func (d *desk) waitInSync(names ...string) {
	d.rig.t.Helper()
	slices.Sort(names)
	d.rig.eventually(fmt.Sprintf("in sync: %v, asked for: %v", names, d.reasons()), func() bool {
		if !slices.Equal(d.inSync(), names) {
			return false
		}
		p := d.rig.byUUID(d.record().Primary.UUID)
		return p != nil && p.replica.Status().Serving && p.replica.Record().Version == d.record().Version
	})
}

// patience bounds every wait, in fake time.
const patience = 30 * time.Second
