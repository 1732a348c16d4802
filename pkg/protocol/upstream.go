package protocol

// The topologies of replication.
const (
	// Star has the primary send its records to every standby itself.
	Star = "star"
	// Chain has each standby in sync take them from the one before it, and only
	// the first from the primary.
	Chain = "chain"
)

// Upstream returns the replica that standby me takes its records from in a
// chain: the standbys in sync follow one another by uuid. Everyone else, and the
// first of them, takes them from the primary. It is a matter of bandwidth alone:
// who must hold what, and who answers for it, does not depend on it.
func (r GroupRecord) Upstream(me UUID) UUID {
	inChain := func(u UUID) bool {
		return u != r.Primary.UUID && r.IsInSync(u) && !r.IsLeaving(u)
	}
	up := r.Primary.UUID
	if !inChain(me) {
		return up
	}
	best := UUID("")
	for _, u := range r.InSync {
		if u < me && u > best && inChain(u) {
			best, up = u, u
		}
	}
	return up
}
