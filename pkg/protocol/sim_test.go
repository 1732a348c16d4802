package protocol_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

// How long the simulation runs in an ordinary test run, and what makes it run
// longer, or run one seed again.
const (
	simSeeds   = 24
	simTrouble = 12 * time.Second // of faults, in virtual time
	simHealing = 40 * time.Second // until everything must be well again

	envSeeds = "UNDERSTUDY_SIM_SEEDS" // how many fresh seeds to run
	envSeed  = "UNDERSTUDY_SIM_SEED"  // the one seed to run
	envSkip  = "UNDERSTUDY_SIM_SKIP"  // numbers of faults to leave out of it
)

// TestSimulation runs whole clusters through drawn faults, and checks after every
// step what the design promises. A finding prints its seed and its last steps.
func TestSimulation(t *testing.T) {
	seeds := make([]uint64, 0, simSeeds+1)
	fresh := simFresh
	if n, err := strconv.Atoi(os.Getenv(envSeeds)); err == nil {
		fresh = n
	}
	if one, err := strconv.ParseUint(os.Getenv(envSeed), 10, 64); err == nil {
		seeds, fresh = append(seeds, one), 0
	} else {
		for s := range uint64(simSeeds) {
			seeds = append(seeds, s)
		}
	}
	skipped := parseNumbers(os.Getenv(envSkip))
	base := uint64(time.Now().UnixNano())
	for i := range uint64(fresh) {
		seeds = append(seeds, base+i)
	}
	t.Logf("fresh seeds from %d", base)
	var total checker
	steps := 0
	for i, seed := range seeds {
		w := simulate(seed, false, skipped)
		if w.check.broken != "" {
			t.Fatal(finding(w, seed, i+1, steps+w.steps))
		}
		steps += w.steps
		total.acks += w.check.acks
		total.failovers += w.check.failovers
		total.switchovers += w.check.switchovers
		total.handOffs += w.check.handOffs
		total.replacements += w.check.replacements
		total.adoptions += w.check.adoptions
		total.serves += w.check.serves
		total.reads += w.check.reads
		total.requests.repeats += w.check.requests.repeats
		total.clients.undecided += w.check.clients.undecided
	}
	t.Logf("%d seeds, %d writes acknowledged, %d reads answered, %d changes of the primary, %d of them switchovers, %d hand-offs, %d replacements, %d adoptions, %d requests answered again, %d steps, %d histories not judged", len(seeds), total.acks, total.reads, total.failovers, total.switchovers, total.handOffs, total.replacements, total.adoptions, total.requests.repeats, steps, total.clients.undecided)
	if len(seeds) > simSeeds {
		require.Greater(t, total.acks, 20*len(seeds), "the worlds are too broken to show anything")
		require.Greater(t, total.reads, 20*len(seeds), "the worlds are too broken to show anything")
		require.Greater(t, total.failovers, len(seeds), "the worlds are too tame to show anything")
		require.Greater(t, total.switchovers, len(seeds)/5, "the worlds are too tame to show anything")
		require.Greater(t, total.handOffs, len(seeds)/4, "the worlds are too tame to show anything")
		require.Greater(t, total.requests.repeats, len(seeds), "the worlds are too tame to show anything")
		require.Greater(t, total.replacements, len(seeds)/4, "the worlds are too tame to show anything")
		require.Greater(t, total.adoptions, len(seeds)/20, "the worlds are too tame to show anything")
	}
}

// simulate runs one world and returns it as it ends.
func simulate(seed uint64, tracing bool, skip []int) *world {
	w := newWorld(seed, tracing, skip)
	w.play()
	return w
}

// newWorld returns a world in which nothing has happened.
func newWorld(seed uint64, tracing bool, skip []int) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_000_000, 0),
		cuts: map[[2]string]time.Time{}, check: newChecker(), seed: seed, tracing: tracing, skip: skip,
	}
	w.start = w.now
	return w
}

// play lets the cluster be born, have its troubles, and recover.
func (w *world) play() {
	size := 2 + w.rng.IntN(3)
	s := protocol.DefaultSettings()
	s.WantCopies = 2 + w.rng.IntN(min(2, size-1))
	s.ReplaceAfter = protocol.Duration(time.Second + w.upTo(2*time.Second))
	w.reg, _ = w.reg.Apply(protocol.Command{Found: &protocol.Found{Cluster: "c", Settings: s}})
	w.faults = w.drawFaults()
	w.startMonitors()
	for i := range size {
		n := &node{name: string(rune('a' + i))}
		w.nodes = append(w.nodes, n)
		w.after(w.upTo(500*time.Millisecond), func() { w.startProcess(n) })
	}
	w.startHop(w.seed)
	w.planRegistryLoss()
	w.after(time.Second, w.harm)
	w.runUntil(w.start.Add(simTrouble))
	if w.check.broken != "" {
		return
	}
	w.heal()
	w.recover()
	w.judge()
}

// recover waits until the cluster is whole again: nothing may be stuck when
// nothing is broken any more.
func (w *world) recover() {
	end := w.now.Add(simHealing)
	for w.now.Before(end) && w.check.broken == "" {
		w.runUntil(w.now.Add(200 * time.Millisecond))
		if w.isLost() || w.whole() == "" {
			return
		}
	}
	if w.check.broken == "" && !w.unadopted() { // else it takes an operator's force
		w.check.fail(w, "not whole again after %s: %s", simHealing, w.whole())
	}
}

// isLost tells whether every directory of the in-sync set is gone: then a takeover
// is refused for good, as it must be.
func (w *world) isLost() bool {
	rec := w.reg.Groups[0]
	for _, u := range rec.InSync {
		if w.directory(u) != nil {
			return false
		}
	}
	return rec.Epoch > 0
}

// whole says what is missing until the cluster is whole, or nothing.
func (w *world) whole() string {
	rec := w.reg.Groups[0]
	primary := w.running(rec.Primary.UUID)
	switch {
	case rec.Epoch == 0:
		return "there is no primary"
	case primary == nil || primary.me != rec.Primary:
		return "the primary of the record is gone"
	case !primary.core.Serving():
		return "the primary does not serve"
	case len(rec.Members) < w.reg.Settings.WantCopies:
		return "there are too few members"
	case len(rec.Members) > w.reg.Settings.WantCopies:
		return "there are too many members"
	case w.monitor.core.Prospect(0, w.now).Planned != "":
		return "a planned change is left: " + w.monitor.core.Prospect(0, w.now).Planned
	case primary.core.Sealed():
		return "the primary is sealed"
	}
	for _, u := range rec.Members {
		p := w.running(u)
		switch {
		case p == nil:
			return string(u) + " does not run"
		case p.stopping:
			return string(u) + " is stopping"
		case !rec.IsInSync(u):
			return string(u) + " is not in sync"
		case p != primary && p.core.State() != protocol.StateStandby:
			return string(u) + " is " + string(p.core.State())
		case p.core.Commit()+100 < primary.core.Commit():
			return string(u) + " does not follow"
		}
	}
	return ""
}
