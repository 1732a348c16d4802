package protocol_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// The command deploy/soak runs the long simulation by these.
const (
	envFor  = "UNDERSTUDY_SIM_FOR"  // how long, such as 10m
	envFrom = "UNDERSTUDY_SIM_FROM" // the first seed

	tellEvery = 10 * time.Second
)

// TestLongSimulation simulates worlds on every processor until its time is over or
// something is found, and tells now and then how far it is.
func TestLongSimulation(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv(envFor))
	if err != nil {
		t.Skipf("set %s=10m to simulate for ten minutes", envFor)
	}
	l := &long{began: time.Now()}
	if l.next, err = strconv.ParseUint(os.Getenv(envFrom), 10, 64); err != nil {
		l.next = uint64(l.began.UnixNano())
	}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() { l.work(length) })
	}
	workers.Wait()
	l.tell()
	if l.broken != nil {
		fmt.Println("something was found; leaving out every fault that it does without")
		t.Fatal(finding(l.broken, l.seed, l.worlds, l.steps))
	}
}

// long is a long simulation. mu guards all but began.
type long struct {
	began time.Time

	mu     sync.Mutex
	next   uint64 // seed
	told   time.Time
	broken *world // the first that is
	seed   uint64 // of it

	worlds, steps, acks, reads, failovers, undecided int
}

func (l *long) work(length time.Duration) {
	for {
		l.mu.Lock()
		seed := l.next
		l.next++
		over := l.broken != nil || time.Since(l.began) >= length
		l.mu.Unlock()
		if over {
			return
		}
		l.add(simulate(seed, false, nil), seed)
	}
}

func (l *long) add(w *world, seed uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.worlds++
	l.steps += w.steps
	l.acks += w.check.acks
	l.reads += w.check.reads
	l.failovers += w.check.failovers
	l.undecided += w.check.clients.undecided
	if w.check.broken != "" && l.broken == nil {
		l.broken, l.seed = w, seed
	}
	if time.Since(l.told) >= tellEvery {
		l.tell()
	}
}

func (l *long) tell() {
	l.told = time.Now()
	fmt.Printf("%8s: %d worlds up to seed %d, %d steps, %d changes of the primary, %d writes acknowledged, %d reads answered, %d histories not judged\n",
		time.Since(l.began).Round(time.Second), l.worlds, l.next-1, l.steps, l.failovers, l.acks, l.reads, l.undecided)
}
