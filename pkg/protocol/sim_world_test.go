package protocol_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"understudy.example/pkg/protocol"
)

// world is a whole cluster in virtual time, out of one random seed: real replicas,
// one or three real monitors and a real registry, with made-up disks and a made-up network.
// What it does depends on the seed alone, so that a failure can be run again.
type world struct {
	seed   uint64
	rng    *rand.Rand
	start  time.Time
	now    time.Time
	queue  events
	serial uint64

	nodes []*node
	// monitors has the newest start of each; monitor is the one that leads the
	// registry, which takes no command of another.
	monitors []*monitorProcess
	monitor  *monitorProcess
	reg      protocol.Registry
	cuts     map[[2]string]time.Time // a direction of a link, and until when it is cut
	faults   faultMix
	calm     bool // no more faults: everything that is sent arrives
	writes   int
	steps    int
	// harms counts what went wrong so far; skip are the numbers of those that are
	// left out of this run.
	harms int
	skip  []int
	loss  registryLoss
	// hasty and forgetful worlds break a rule of the shell, to show that the
	// histories of clients tell: reads without a confirm, acknowledgements of what
	// only the primary's disk holds.
	hasty, forgetful bool
	// shortSighted and amnesic worlds break a rule of the shell about requests that
	// come again: ids looked up in what is applied alone, refusals not recorded.
	shortSighted, amnesic bool

	check   checker
	tracing bool
	trace   []string
}

type event struct {
	at     time.Time
	serial uint64
	do     func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].serial < q[j].serial
	}
	return q[i].at.Before(q[j].at)
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return e
}

// after has something happen when d has passed.
func (w *world) after(d time.Duration, do func()) {
	w.serial++
	heap.Push(&w.queue, event{w.now.Add(d), w.serial, do})
}

// every has something happen again and again, with a little jitter.
func (w *world) every(d time.Duration, do func() (again bool)) {
	w.after(d+w.upTo(d/20), func() {
		if do() {
			w.every(d, do)
		}
	})
}

// runUntil lets time pass until t, or until the checker has found something.
func (w *world) runUntil(t time.Time) {
	for len(w.queue) > 0 && !w.queue[0].at.After(t) && w.check.broken == "" {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		w.steps++
		w.safely(e.do)
		w.safely(func() { w.check.always(w) })
	}
	w.now = t
}

// safely turns a panic, such as an assertion of the core, into a finding.
func (w *world) safely(do func()) {
	defer func() {
		if p := recover(); p != nil {
			w.check.fail(w, "panic: %v", p)
		}
	}()
	do()
}

func (w *world) tell(format string, args ...any) {
	if w.tracing {
		w.trace = append(w.trace, fmt.Sprintf("%9.3f ", w.now.Sub(w.start).Seconds())+fmt.Sprintf(format, args...))
	}
}

// upTo returns a random time below d.
func (w *world) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(d)))
}

// chance is true once in n times, and never once the world is calm.
func (w *world) chance(n int) bool { return !w.calm && w.rng.IntN(n) == 0 }

// delay is how long a message takes: mostly little, at times very long.
func (w *world) delay() time.Duration {
	d := 100*time.Microsecond + w.upTo(time.Millisecond)
	if w.faults.slowNet && w.chance(20) {
		d += w.upTo(200 * time.Millisecond)
	}
	return d
}

func (w *world) isCut(from, to string) bool { return w.now.Before(w.cuts[[2]string{from, to}]) }

// send carries a message that is not part of a stream. It may be lost, come late,
// and come again after a long while.
func (w *world) send(from, to string, arrive func()) {
	if w.isCut(from, to) || w.faults.lossy && w.chance(15) {
		return
	}
	w.after(w.delay(), func() {
		if !w.isCut(from, to) {
			arrive()
		}
	})
	if w.faults.copies && w.chance(10) {
		w.after(w.upTo(3*time.Second), arrive)
	}
}

// node is a machine with one data directory and, if it runs, one process.
type node struct {
	name    string
	dir     *directory
	process *process
	lives   int // data directories so far
}

// directory is what survives a crash.
type directory struct {
	uuid     protocol.UUID
	boots    uint64
	cluster  string
	accepted protocol.Epoch
	records  []entry
	durable  int // records[:durable] survives for certain
	lost     bool
}

// entry is one record. The id tells two records at one position apart.
type entry struct {
	at     protocol.Position
	id     int
	commit protocol.Seq
	by     protocol.ReplicaBoot // of an epoch-start
	// request is the id of the request that the record answers, 0 for none, and
	// refused tells that the answer is a refusal.
	request int
	refused bool
}

func (d *directory) last() protocol.Position {
	if len(d.records) == 0 {
		return protocol.Position{}
	}
	return d.records[len(d.records)-1].at
}

// saved is what a process finds in its directory when it starts.
func (d *directory) saved() protocol.Saved {
	s := protocol.Saved{Accepted: d.accepted, Last: d.last()}
	for _, r := range d.records {
		s.Commit = max(s.Commit, r.commit)
		if n := len(s.Boundaries); n == 0 || s.Boundaries[n-1].Epoch != r.at.Epoch {
			s.Boundaries = append(s.Boundaries, protocol.Boundary{Epoch: r.at.Epoch, First: r.at.Seq})
		}
	}
	return s
}

// running returns the process that has the directory open, or nil.
func (w *world) running(u protocol.UUID) *process {
	for _, n := range w.nodes {
		if n.dir != nil && n.dir.uuid == u && n.process != nil && !n.process.dead {
			return n.process
		}
	}
	return nil
}

// directory returns the directory of a replica, nil where it is lost.
func (w *world) directory(u protocol.UUID) *directory {
	for _, n := range w.nodes {
		if n.dir != nil && n.dir.uuid == u {
			return n.dir
		}
	}
	return nil
}
