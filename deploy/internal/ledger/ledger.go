// Package ledger writes to a cluster, keeps a record of what it was told about
// each write, and judges the map by it: no acknowledged write lost, none applied
// twice, none torn, none back from the dead. It keeps a history of every request,
// too, and has that judged: no read, of a writer's own key or another's, may be
// stale.
//
// Its writers repeat a request only where that is safe: after an answer that
// says that nothing was applied, or under a condition that lets it be applied
// once.
package ledger

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"understudy.example/pkg/history"
	"understudy.example/pkg/protocol"
)

// Options says what to write. Target and Writers are required.
type Options struct {
	Target  string // URL of a monitor or a node
	Writers int
	Prefix  string        // of all keys
	Pause   time.Duration // between two writes of a writer
	Padding int           // bytes by which values vary in length, at most
}

// Counts sums up what the writers were told.
type Counts struct {
	Acknowledged int
	Refused      int // answers and connections that said that nothing was applied
	Unknown      int // writes whose outcome nobody told
	Judged       int // requests in histories that were judged
	Undecided    int // keys whose histories took too long to judge
	// LongestGap is the longest time between two acknowledgements within a run.
	LongestGap time.Duration
}

// Ledger is the record of all writers. Its methods may be called concurrently,
// but for Run and Check, which take turns.
type Ledger struct {
	opts    Options
	http    *http.Client
	writers []*writer
	history *history.History // since the last Check

	mu         sync.Mutex // guards the fields below
	counts     Counts
	lastAck    time.Time // in the present run; zero before the first
	ackers     map[protocol.Epoch]string
	violations []string
}

// New returns a ledger with nothing written yet.
func New(opts Options) *Ledger {
	l := &Ledger{opts: opts, ackers: map[protocol.Epoch]string{}, history: history.New(nil), http: &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
			MaxIdleConnsPerHost: opts.Writers,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for i := range opts.Writers {
		l.writers = append(l.writers, &writer{ledger: l, number: i, prefix: fmt.Sprintf("%sw%d/", opts.Prefix, i)})
	}
	return l
}

// Run writes until ctx ends and every request under way has been answered.
func (l *Ledger) Run(ctx context.Context) {
	l.mu.Lock()
	l.lastAck = time.Time{}
	l.mu.Unlock()
	var running sync.WaitGroup
	for _, w := range l.writers {
		running.Go(func() { w.run(ctx) })
	}
	running.Wait()
	l.http.CloseIdleConnections()
}

// Counts returns what the writers were told so far.
func (l *Ledger) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Violations returns every broken promise that was found so far.
func (l *Ledger) Violations() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.violations)
}

func (l *Ledger) violate(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violations = append(l.violations, fmt.Sprintf(format, args...))
}

// acknowledged counts a success, and checks that its epoch has one acker.
func (l *Ledger) acknowledged(node, position string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.lastAck.IsZero() {
		l.counts.LongestGap = max(l.counts.LongestGap, now.Sub(l.lastAck))
	}
	l.lastAck = now
	l.counts.Acknowledged++
	p, err := protocol.ParsePosition(position)
	switch before, known := l.ackers[p.Epoch]; {
	case err != nil || node == "":
		l.violations = append(l.violations, fmt.Sprintf("an acknowledgement comes from node %q at position %q", node, position))
	case !known:
		l.ackers[p.Epoch] = node
	case before != node:
		l.violations = append(l.violations, fmt.Sprintf("epoch %d was acknowledged by %s and by %s", p.Epoch, before, node))
	}
}

// told counts an answer that is no success.
func (l *Ledger) told(unknown bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if unknown {
		l.counts.Unknown++
	} else {
		l.counts.Refused++
	}
}

// value returns what a writer writes as its n-th value: the number, and bytes
// that anybody can compute again.
func (l *Ledger) value(n int) string {
	text := strconv.Itoa(n)
	if l.opts.Padding > 0 {
		text += "." + strings.Repeat("x", n*7919%l.opts.Padding)
	}
	return text
}
