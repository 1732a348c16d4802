package protocol

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// An adoption rebuilds the registry from the nodes, when the monitors have lost it or
// have only an old copy of it. What must hold:
//
// Without force, the node named holds every acknowledged write. Each was on the whole
// in-sync set of its day, so one member of the lost registry's last set, among those
// heard, is enough: the longest journal, by epoch and then by seq, holds what any in
// sync holds, because only a replica in sync began an epoch. One member was heard
// for certain if everybody whom the heard nodes know was: a replica is added to a set
// only by a primary, which knows it. They are known by name: a directory that was heard
// and is not there any more is missed, whoever beats under its name now. Who has started
// anew knows nobody, and proves nothing, with an empty directory too: its name may have
// had another one. And nobody goes on acknowledging meanwhile: a primary that serves is
// the one that must be named.
//
// With force something may be lost, which is said and kept; the epoch then counts as
// one that began by an override. An epoch is never used twice: epochs and versions leap
// over what the lost registry may have given. Even if everybody was heard, a record may
// be on its way that nobody has told of yet.

// adoptLeap is how many epochs, and versions, an adoption passes over: what was given
// by the registry that was lost is not known.
const adoptLeap = 1000

// KindAdopted is the kind of an adoption in the history.
const KindAdopted = "adopted"

// Adopt rebuilds a registry from its nodes, with one of them as the primary of every
// group, alone in sync.
type Adopt struct {
	Over    string      `json:"over"`    // the registry's cluster id when this was decided
	Cluster string      `json:"cluster"` // the nodes', which the registry takes over
	Primary ReplicaBoot `json:"primary"`
	Nodes   []NodeEntry `json:"nodes"` // those that were heard
	// Groups has every group of the cluster.
	Groups []AdoptGroup `json:"groups"`
	Reason string       `json:"reason"`
	By     string       `json:"by,omitempty"`
	Heard  string       `json:"heard"` // what each node said, for the history
	// Loss says why acknowledged writes may be lost; empty: none are.
	Loss string `json:"loss,omitempty"`
}

// AdoptGroup is what a group's record becomes, over the version that the adoption was
// decided on.
type AdoptGroup struct {
	Group   GroupID `json:"group"`
	Over    Version `json:"over"`
	Epoch   Epoch   `json:"epoch"`
	Version Version `json:"version"`
	Members []UUID  `json:"members"`
}

// AdoptOrder is what an operator asks for.
type AdoptOrder struct {
	Node   string // the next primary
	Reason string
	By     string
	Force  bool // also where acknowledged writes may be lost
}

// Witness is a node that was heard, registered or refused.
type Witness struct {
	NodeReport
	Ago   time.Duration // since it was heard
	There bool          // it was heard a moment ago
}

// Witnesses returns every node that this monitor has heard, by name.
func (m *Monitor) Witnesses(now time.Time) []Witness {
	var out []Witness
	add := func(n NodeReport, heard time.Time, gone bool) {
		ago := now.Sub(heard)
		out = append(out, Witness{n, ago, !gone && ago <= strangerFresh})
	}
	for _, name := range sortedKeys(m.nodes) {
		if w := m.nodes[name]; w.entry.Name != "" && !w.heard.IsZero() {
			add(w.report, w.heard, w.down)
		}
	}
	for _, u := range sortedKeys(m.strangers) {
		add(m.strangers[u].report, m.strangers[u].heard, false)
	}
	slices.SortStableFunc(out, func(a, b Witness) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// adoption is an order at the moment when it is judged.
type adoption struct {
	m     *Monitor
	node  Witness   // the one named
	all   []Witness // of its cluster
	doubt []string  // why something acknowledged may be lost
}

// Adoption judges an order to rebuild the registry: it returns the command that does
// it, or why it is refused.
func (m *Monitor) Adoption(o AdoptOrder, now time.Time) (*Adopt, *Refusal) {
	switch {
	case !m.leader || m.reg.Cluster == "":
		return nil, refuse(RefuseNoLeader, "this monitor does not lead: ask the leader")
	case m.Learning(now):
		return nil, refuse(RefuseNoLeader, "this monitor has just started or slept, and learns who is there: ask again in a moment")
	case strings.TrimSpace(o.Reason) == "":
		return nil, refuse(RefuseBadRequest, "an adoption needs a reason, for the history")
	}
	a := &adoption{m: m}
	no := a.find(o.Node, m.Witnesses(now))
	if no == nil {
		no = a.needed()
	}
	if no == nil {
		no = a.fit()
	}
	if no != nil {
		return nil, no
	}
	a.weigh()
	if len(a.doubt) > 0 && !o.Force {
		return nil, refuse(RefuseWouldLoseData, "acknowledged writes could be lost with %s: %s. Heard: %s. Start who is missing and name the one that holds most, or say -force: then what only another holds is lost", o.Node, strings.Join(a.doubt, "; "), a.heard())
	}
	return a.command(o), nil
}

// find looks for the node named among those that are there.
func (a *adoption) find(name string, heard []Witness) *Refusal {
	named := slices.DeleteFunc(slices.Clone(heard), func(w Witness) bool { return w.Name != name || !w.There })
	switch {
	case len(named) == 0:
		names := []string{"nobody"}
		for _, w := range heard {
			names = append(names, w.Name)
		}
		return refuse(RefuseNotFound, "no node named %q is heard at the moment; heard were: %s", name, strings.Join(slices.Compact(names[min(1, len(heard)):]), ", "))
	case len(named) > 1:
		return refuse(RefuseDuplicateNode, "two processes named %s are heard, at %s and %s: stop one", name, named[0].Address, named[1].Address)
	case named[0].Cluster == "":
		return refuse(RefuseBadRequest, "%s belongs to no cluster yet: there is nothing to adopt from it", name)
	}
	a.node = named[0]
	a.all = slices.DeleteFunc(slices.Clone(heard), func(w Witness) bool {
		return w.Cluster != a.node.Cluster || slices.Contains(a.m.reg.Removed, w.UUID)
	})
	return nil
}

// needed says why the registry is not to be rebuilt, or nothing.
func (a *adoption) needed() *Refusal {
	reg := a.m.reg
	if a.node.Cluster != reg.Cluster {
		for _, id := range sortedKeys(reg.Groups) {
			if r := reg.Groups[id]; r.Epoch > 0 {
				return refuse(RefuseStaleVersion, "this registry is in use, with %s as the primary of group %d, and %s is of another cluster: to rebuild that one, start a monitor with an empty data directory", reg.NameOf(r.Primary.UUID), id, a.node.Name)
			}
		}
		return nil
	}
	for _, w := range a.all {
		for _, g := range w.Groups {
			if r := reg.Groups[g.Group]; g.Epoch > r.Epoch || g.Version > r.Version {
				return nil
			}
		}
	}
	return refuse(RefuseStaleVersion, "the registry is well: no node knows anything newer. A change of the primary is -switchover or -failover")
}

// fit says why the node named cannot be a primary, or nothing.
func (a *adoption) fit() *Refusal {
	n := a.node
	there := map[string]Witness{}
	for _, w := range a.all {
		if other, twice := there[w.Name]; twice && w.There {
			return refuse(RefuseDuplicateNode, "two processes named %s are heard, at %s and %s: stop one", w.Name, other.Address, w.Address)
		}
		if w.There {
			there[w.Name] = w
		}
	}
	switch {
	case !slices.ContainsFunc(a.all, func(w Witness) bool { return w.UUID == n.UUID }):
		return refuse(RefuseForbidden, "the data directory of %s was removed from the cluster", n.Name)
	case n.State == StateCorrupt:
		return refuse(RefuseStaleVersion, "%s has a damaged journal: name another", n.Name)
	case n.DiskFailed != "":
		return refuse(RefuseStaleVersion, "%s has given up its disk (%s): name another", n.Name, n.DiskFailed)
	case n.Stopping:
		return refuse(RefuseStaleVersion, "%s is stopping: start it again", n.Name)
	}
	return nil
}

// weigh collects why something acknowledged may be missing from the node named.
func (a *adoption) weigh() {
	there := map[string]bool{}
	for _, w := range a.all {
		there[w.Name] = there[w.Name] || w.There
	}
	for _, w := range a.all {
		if !w.There && !w.empty() {
			delete(there, w.Name) // another directory under its name does not hold what it held
		}
	}
	missing, living := map[string]string{}, map[UUID]bool{}
	for _, w := range a.all {
		living[w.UUID] = w.There
	}
	for _, w := range a.all {
		if !w.There {
			missing[w.Name] = fmt.Sprintf("%s was last heard %s ago", w.Name, w.Ago.Round(time.Second))
			continue
		}
		if text := a.ahead(w); text != "" {
			a.doubt = append(a.doubt, text)
		}
		if w.State != StateCorrupt && w.version() == 0 {
			a.doubt = append(a.doubt, w.Name+" has started anew and does not know who else belongs to the cluster")
		}
		for name, u := range w.Knows {
			if living[u] {
				continue
			}
			delete(there, name) // whoever is heard under its name has another directory
			missing[name] = cmp.Or(missing[name], fmt.Sprintf("%s, which %s knows, has not been heard", name, w.Name))
		}
	}
	if a.node.Cluster == a.m.reg.Cluster {
		for name := range a.m.reg.Nodes {
			missing[name] = cmp.Or(missing[name], fmt.Sprintf("%s, which is registered, has not been heard", name))
		}
	}
	maps.DeleteFunc(missing, func(name string, _ string) bool { return there[name] })
	for _, name := range sortedKeys(missing) {
		a.doubt = append(a.doubt, missing[name])
	}
}

// ahead says what another node may hold that the one named does not, or nothing.
func (a *adoption) ahead(w Witness) string {
	if w.UUID == a.node.UUID {
		return ""
	}
	for _, g := range w.Groups {
		have := a.node.group(g.Group)
		switch {
		case w.State == StateCorrupt:
			return w.Name + " has a damaged journal, and what it held is not known"
		case g.Serving:
			return w.Name + " is the primary and serves"
		case g.Position.Epoch <= have.Position.Epoch && g.Epoch > have.Epoch:
			return fmt.Sprintf("%s knows epoch %d, and %s epoch %d", w.Name, g.Epoch, a.node.Name, have.Epoch)
		case have.Serving && g.Position.Epoch == have.Position.Epoch:
			// Its word is newer than the primary's: what it holds, the primary sent it.
		case g.Position.Compare(have.Position) > 0:
			return fmt.Sprintf("%s ends at %s, and %s at %s", w.Name, g.Position, a.node.Name, have.Position)
		}
	}
	return ""
}

// heard lists what every node says, for the operator and the history.
func (a *adoption) heard() string {
	var out []string
	for _, w := range a.all {
		said := []string{w.Name}
		for _, g := range w.Groups {
			said = append(said, fmt.Sprintf("at %s of epoch %d, version %d", g.Position, g.Epoch, g.Version))
		}
		if !w.There {
			said = append(said, fmt.Sprintf("(%s ago)", w.Ago.Round(time.Second)))
		}
		out = append(out, strings.Join(said, " "))
	}
	return strings.Join(out, ", ")
}

// command is what rebuilds the registry.
func (a *adoption) command(o AdoptOrder) *Adopt {
	n, reg := a.node, a.m.reg
	c := &Adopt{
		Over: reg.Cluster, Cluster: n.Cluster, Primary: ReplicaBoot{n.UUID, n.Boot},
		Reason: o.Reason, By: o.By, Heard: a.heard(), Loss: strings.Join(a.doubt, "; "),
	}
	members := []UUID{n.UUID}
	for _, w := range a.all {
		if !w.There {
			continue
		}
		c.Nodes = append(c.Nodes, NodeEntry{Name: w.Name, UUID: w.UUID, Boot: w.Boot, Address: w.Address, Priority: w.Priority})
		old := reg.Nodes[w.Name]
		kept := old.UUID == w.UUID && old.Maintenance
		if w.UUID != n.UUID && !kept && len(members) < reg.Settings.WantCopies {
			members = append(members, w.UUID)
		}
	}
	for id := range max(1, reg.Settings.Groups) {
		c.Groups = append(c.Groups, a.groupOf(GroupID(id), members))
	}
	return c
}

func (a *adoption) groupOf(id GroupID, members []UUID) AdoptGroup {
	rec := a.m.reg.Groups[id]
	out := AdoptGroup{Group: id, Over: rec.Version, Epoch: max(rec.Epoch, a.m.reg.Adopted), Version: rec.Version, Members: members}
	for _, w := range a.all {
		g := w.group(id)
		out.Epoch = max(out.Epoch, g.Epoch, g.Position.Epoch)
		out.Version = max(out.Version, g.Version)
	}
	out.Epoch, out.Version = out.Epoch+1+adoptLeap, out.Version+1+adoptLeap
	return out
}

// version returns the highest version of a record that the node has taken in this
// boot.
func (n NodeReport) version() Version {
	var v Version
	for _, g := range n.Groups {
		v = max(v, g.Version)
	}
	return v
}

// journal returns the epoch of the newest record in the node's journals.
func (n NodeReport) journal() Epoch {
	var e Epoch
	for _, g := range n.Groups {
		e = max(e, g.Position.Epoch)
	}
	return e
}
