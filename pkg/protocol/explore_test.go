package protocol

import (
	"fmt"
	"hash/maphash"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// envExplore sets how many states each exploration may reach.
const envExplore = "UNDERSTUDY_EXPLORE"

// exploration is a breadth-first search: the first trace to anything is a
// shortest one.
type exploration struct {
	print   printer
	seen    map[uint64]struct{}
	trail   []trailed
	roots   []*spot
	limit   int
	depth   int
	whole   bool // nothing within the bounds is left
	finding string
	steps   int // of the finding
}

// trailed tells how a state was reached: by a move from an earlier one. A root
// names itself.
type trailed struct {
	from uint32
	by   move
}

type reached struct {
	s  *spot
	id uint32
}

func explore(limit int, roots ...*spot) *exploration {
	x := &exploration{
		print: printer{seed: maphash.MakeSeed()}, seen: make(map[uint64]struct{}, limit),
		limit: limit, roots: roots,
	}
	var layer []reached
	for i, s := range roots {
		x.seen[x.print.fingerprint(s)] = struct{}{}
		x.trail = append(x.trail, trailed{from: uint32(i)})
		layer = append(layer, reached{s, uint32(i)})
		if s.ledger.broken != "" {
			x.finding = s.ledger.broken + " (in the root)"
			return x
		}
	}
	for len(layer) > 0 && x.finding == "" {
		layer = x.next(layer)
		if len(layer) > 0 {
			x.depth++
		}
	}
	x.whole = x.finding == "" && len(x.trail) < x.limit
	return x
}

// next returns the layer after one.
func (x *exploration) next(layer []reached) (out []reached) {
	var moves []move
	for i, at := range layer {
		layer[i].s = nil // for the memory
		moves = at.s.moves(moves[:0])
		for _, mv := range moves {
			n := at.s.step(mv)
			if n == nil {
				continue
			}
			if n.ledger.broken != "" {
				x.found(at, mv, n)
				return nil
			}
			sum := x.print.fingerprint(n)
			if _, ok := x.seen[sum]; ok {
				continue
			}
			x.seen[sum] = struct{}{}
			if len(x.trail) >= x.limit {
				return nil
			}
			out = append(out, reached{n, uint32(len(x.trail))})
			x.trail = append(x.trail, trailed{at.id, mv})
		}
	}
	return out
}

// found tells the trace to a broken invariant, by going it again from its root.
func (x *exploration) found(at reached, mv move, end *spot) {
	moves := []move{mv}
	id := at.id
	for x.trail[id].from != id {
		moves = append(moves, x.trail[id].by)
		id = x.trail[id].from
	}
	s := x.roots[id]
	lines := []string{"     " + s.summary()}
	for i, move := range slices.Backward(moves) {
		lines = append(lines, fmt.Sprintf("%3d  %s", len(moves)-i, s.describe(move)))
		if s = s.step(move); s.ledger.broken == "" {
			lines = append(lines, "     "+s.summary())
		}
	}
	x.steps = len(moves)
	x.finding = fmt.Sprintf("%s\n%s", end.ledger.broken, strings.Join(lines, "\n"))
}

// TestExploration reaches every state of a small group within bounds, or the
// nearest ones up to a number, and checks each: real replicas and a real registry,
// in every order of what may happen. It begins with A alone (born) and with
// everybody in sync (joined), or with a third that is behind (behind).
//
// Time stands still, and choices take its place. What a wait would bring about
// comes from a broken connection that the primary learns of, from trouble that a
// standby tells, or from who is held for down. The monitor's decisions are free:
// any registered boot, decided on any version still on its way; the registry
// judges. Records, and what primaries ask for, are never lost for good: each may
// arrive at any time, again and again, until it is too late by the bound. What
// never arrives is what is lost.
//
// A process that dies is started at once, and is as good as dead until something
// reaches it. A crash keeps the whole unsynced tail or none of it. A standby's
// reads are not explored, nor members that change, nodes in maintenance and leaving
// ones: the simulation has them. Seals are not, for they only have a primary wait,
// and the monitor promotes here at any moment; nor are overrides, which give up
// what is promised.
//
// The scope "every step" takes apart all that a crash or a late message may fall
// between. The others do at once what commutes with what the rest of the group may
// do meanwhile: a change of role, from the record to the epoch-start; a write and
// its sync (so only "every step" loses an unsynced tail); a handshake, from dialling
// to the primary's answer; all that waits in one direction of a connection, but for
// the welcome; a start and the registration. A primary looks at its standbys after
// each event.
func TestExploration(t *testing.T) {
	for _, c := range scopes() {
		t.Run(c.name, func(t *testing.T) { c.explore(t) })
	}
}

func (c scope) explore(t *testing.T) {
	for _, root := range c.roots {
		t.Run(root.name, func(t *testing.T) {
			limit := c.states
			if raced {
				limit /= 10 // nothing here runs concurrently: the detector only slows it
			}
			if n, err := strconv.Atoi(os.Getenv(envExplore)); err == nil {
				limit = n
			}
			defer debug.SetGCPercent(debug.SetGCPercent(400)) // hardly anything becomes garbage
			begun := time.Now()
			x := explore(limit, root.of(&c.bounds))
			took := time.Since(begun)
			t.Logf("%d states, depth %d, all: %v, %.0f states/s", len(x.trail), x.depth, x.whole, float64(len(x.trail))/took.Seconds())
			require.Empty(t, x.finding, "%s, %s: found in %d steps: %s", c.name, root.name, x.steps, x.finding)
		})
	}
}

func TestRootsAreQuiet(t *testing.T) {
	behind := behindAt(&bounds{nodes: 3, late: 1, wires: 1})
	require.Empty(t, behind.ledger.broken)
	require.Equal(t, Position{1, 2}, behind.ledger.top, behind.summary())
	require.Len(t, behind.record().InSync, 2, behind.summary())
	require.Equal(t, Position{1, 1}, behind.machines[2].last(), behind.summary())
	for _, c := range scopes() {
		born, joined := bornAt(&c.bounds), joinedAt(&c.bounds)
		require.Empty(t, born.ledger.broken+joined.ledger.broken)
		require.True(t, born.machines[0].core.Alone())
		require.Len(t, joined.record().InSync, c.bounds.nodes, joined.summary())
		require.Equal(t, c.bounds.nodes, joined.machines[0].core.Copies())
		require.Equal(t, joined.record().Version, joined.machines[0].core.record.Version, joined.summary())
		for _, w := range joined.wires {
			require.Empty(t, append(w.up, w.down...))
		}
	}
}
