package proxy

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"understudy.example/monitor/internal/turn"
	"understudy.example/pkg/courier"
	"understudy.example/pkg/link"
	"understudy.example/pkg/wire"
)

// spread has reads answered in turn by every replica of the in-sync set. Each
// answers for itself only what the primary has confirmed after the read arrived,
// so that it makes no difference who is asked.
//
// The primary's turn is the courier's, and so is every read that a standby does not
// answer: the courier holds it for as long as it takes. A caller never has an
// error because a standby was asked.
type spread struct {
	directory Directory
	connect   func(address string) courier.Node
	primary   func(context.Context, *link.Request) (*link.Response, error)
	hold      func() time.Duration
	measures  *readMetrics
	on        atomic.Bool
	retiring  sync.WaitGroup // standbys that have left the set

	mu       sync.Mutex // guards the fields below
	standbys []standby  // in the places from 1 of each turn; 0 is the primary
	turns    [readKinds]turn.Turn
}

// standby is a replica that reads are sent to, for as long as it is in the in-sync
// set of an epoch.
type standby struct {
	courier.Target
	node courier.Node
}

// readKind is a kind of read. Each has turns of its own, for what takes long in
// one takes a moment in another.
type readKind uint8

const (
	readKey readKind = iota
	readList
	readState
	readKinds
)

// kindNames are the names of the kinds in metrics.
var kindNames = [readKinds]string{"get", "list", "state"}

// kindOf tells which read a request is; false for whatever only the primary answers.
func kindOf(r *http.Request) (readKind, bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return 0, false
	}
	switch r.URL.Path {
	case statePath:
		return readState, true
	case "/v1/kv", "/v1/kv/":
		return readList, true
	}
	return readKey, strings.HasPrefix(r.URL.Path, "/v1/kv/")
}

// run keeps to the in-sync set until ctx ends.
func (s *spread) run(ctx context.Context) {
	defer s.retiring.Wait()
	defer s.follow(ctx, nil)
	for {
		standbys, changed := s.directory.InSync(group)
		s.follow(ctx, standbys)
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// follow takes a new set. What is under way to one that has left it is given up,
// and asked elsewhere; but an answer that has begun, and so was confirmed while it
// was in the set, goes on until ctx ends.
func (s *spread) follow(ctx context.Context, targets []courier.Target) {
	s.mu.Lock()
	before := s.standbys
	if slices.EqualFunc(before, targets, standby.is) && s.turns[0].Places() > 0 {
		s.mu.Unlock()
		return
	}
	s.standbys = make([]standby, len(targets))
	for i, t := range targets {
		if k := slices.IndexFunc(before, func(b standby) bool { return b.is(t) }); k >= 0 {
			s.standbys[i] = before[k]
		} else {
			s.standbys[i] = standby{t, s.connect(t.Address)}
		}
	}
	for i := range s.turns {
		s.turns[i].Set(1 + len(targets))
	}
	s.mu.Unlock()
	for _, b := range before {
		if !slices.ContainsFunc(targets, b.is) {
			s.retiring.Go(func() { b.node.Retire(ctx) })
		}
	}
}

func (b standby) is(t courier.Target) bool { return b.Target == t }

// next returns whose turn it is; no standby: the primary's.
func (s *spread) next(kind readKind, hold time.Duration) (to standby, k turn.Pick, patience time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, _ = s.turns[kind].Next(time.Now())
	if k.Place > 0 {
		to = s.standbys[k.Place-1]
	}
	return to, k, min(s.turns[kind].Patience(), hold/2)
}

// outcome is what came of asking a replica.
type outcome uint8

const (
	answered outcome = iota
	failed           // or the primary was quicker, although asked later
	dropped          // nobody waits any more
)

func (s *spread) settle(kind readKind, k turn.Pick, took time.Duration, o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch t := &s.turns[kind]; o {
	case answered:
		t.Answered(k, took)
	case failed:
		t.Failed(k, time.Now())
	case dropped:
		t.Dropped(k)
	}
}

// do has a read answered by whose turn it is.
func (s *spread) do(ctx context.Context, kind readKind, r *link.Request) (*link.Response, error) {
	q := question{spread: s, request: r, began: time.Now(), within: s.hold()}
	to, k, patience := s.next(kind, q.within)
	var res *link.Response
	var err error
	o := answered
	if to.node == nil {
		if res, err = s.primary(ctx, r); err != nil {
			o = dropped // the courier knows what to do about a primary that is gone
		}
	} else {
		res, o, err = q.ask(ctx, to, patience)
	}
	s.settle(kind, k, time.Since(q.began), o)
	return res, err
}

// question is a read that a standby is asked.
type question struct {
	*spread
	request *link.Request
	began   time.Time
	within  time.Duration // the hold when it began
}

// reply is what the primary said, asked because a standby was late.
type reply struct {
	res  *link.Response
	err  error
	took time.Duration
}

// ask asks a standby, and the primary as well once the answer is late: the first
// answer counts. Where the standby has none the primary is asked at once. The
// outcome is the standby's: if the primary took as long, being late says nothing of
// it.
func (q *question) ask(ctx context.Context, to standby, patience time.Duration) (*link.Response, outcome, error) {
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	second := make(chan reply, 1)
	late := time.AfterFunc(patience, func() {
		began := time.Now()
		res, err := q.askPrimary(ctx)
		cancel() // the standby need not answer any more
		second <- reply{res, err, time.Since(began)}
	})
	res, err := to.node.Do(ctx, q.request)
	alone := late.Stop() // nobody else was asked
	if err == nil && conclusive(res) {
		if !alone {
			cancel()
			discard((<-second).res)
		}
		return res, answered, nil
	}
	discard(res)
	o := failed
	if caller.Err() != nil {
		o = dropped
	} else {
		q.measures.again(to.Name)
	}
	if alone {
		res, err = q.askPrimary(ctx)
		return res, o, err
	}
	other := <-second
	if other.took >= patience {
		o = dropped
	}
	return other.res, o, other.err
}

// askPrimary asks the primary, within what is left of the hold.
func (q *question) askPrimary(ctx context.Context) (*link.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, q.within-time.Since(q.began))
	defer cancel()
	return q.primary(ctx, q.request)
}

// conclusive tells whether a standby's answer is one to the caller's question,
// and not about the standby: that it cannot tell now, or points to the primary.
func conclusive(res *link.Response) bool {
	return res.Status < http.StatusInternalServerError && res.Status != http.StatusTemporaryRedirect
}

// discard ends an answer that nobody reads.
func discard(res *link.Response) {
	if res != nil && res.Rest != nil {
		_ = res.Rest.Close() // whatever it says
	}
}

// nodeOf returns the name of the node that gave an answer.
func nodeOf(h http.Header) string {
	if names := h[wire.HeaderNode]; len(names) == 1 {
		return names[0]
	}
	return ""
}
