package protocol_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"understudy.example/pkg/protocol"
)

const (
	// requestEvery is how often the first hop of a world has a new request, and
	// requestHold for how long it tries.
	requestEvery = 80 * time.Millisecond
	requestHold  = 4 * time.Second
)

// request is a write with an id, which its first hop sends until it is answered.
type request struct {
	id        int
	until     time.Time
	attempt   int
	uncertain bool // an attempt was not answered: its copy may arrive at any time
	over      bool
}

// outcome is what an answer tells: the record that has it, and whether the request
// was refused by the state that it was judged on.
type outcome struct {
	at      protocol.Position
	refused bool
}

// requestCheck holds what is known of requests by their ids.
type requestCheck struct {
	settled  map[int]outcome // in the committed history
	answers  map[int]outcome // that were given
	withheld map[int]bool    // the caller was told that nothing was or will be applied
	repeats  int             // that were answered from memory
}

func newRequestCheck() requestCheck {
	return requestCheck{settled: map[int]outcome{}, answers: map[int]outcome{}, withheld: map[int]bool{}}
}

// hop is the first hop of a world: a monitor's proxy, or a client library.
type hop struct {
	w   *world
	rng *rand.Rand // of its own, so that the world's draws stay what they were
	ids int
}

func (w *world) startHop(seed uint64) {
	h := &hop{w: w, rng: rand.New(rand.NewPCG(seed, 2))}
	w.every(requestEvery, func() bool {
		h.ids++
		h.send(&request{id: h.ids, until: w.now.Add(requestHold)})
		return !w.calm
	})
}

// send sends one copy. It may be lost, or arrive when its sender has long sent
// another.
func (h *hop) send(r *request) {
	if r.over {
		return
	}
	if !h.w.now.Before(r.until) {
		h.giveUp(r)
		return
	}
	r.attempt++
	attempt := r.attempt
	to := h.target()
	h.carry(func() { to.take(h, r, attempt) })
	h.w.after(30*time.Millisecond+time.Duration(h.rng.Int64N(int64(200*time.Millisecond))), func() {
		if !r.over && r.attempt == attempt {
			r.uncertain = true
			h.send(r)
		}
	})
}

// target is whoever serves, or now and then anybody.
func (h *hop) target() *node {
	for _, n := range h.w.nodes {
		if p := n.process; p != nil && !p.dead && p.core.Serving() && h.rng.IntN(8) > 0 {
			return n
		}
	}
	return h.w.nodes[h.rng.IntN(len(h.w.nodes))]
}

// carry carries a copy, or an answer.
func (h *hop) carry(arrive func()) {
	late := time.Duration(0)
	switch h.rng.IntN(24) {
	case 0:
		return
	case 1, 2:
		late = time.Duration(h.rng.Int64N(int64(3 * time.Second)))
	}
	h.w.after(200*time.Microsecond+late, arrive)
}

// giveUp tells the caller what is true at the end of the hold.
func (h *hop) giveUp(r *request) {
	r.over = true
	if !r.uncertain {
		h.w.check.withhold(h.w, r.id)
	}
}

// refusedBy is the answer of a node that is no primary: this copy is not applied.
func (h *hop) refusedBy(r *request, attempt int) {
	if !r.over && r.attempt == attempt {
		h.w.after(10*time.Millisecond, func() {
			if r.attempt == attempt {
				h.send(r)
			}
		})
	}
}

// take is a copy that arrives at a node.
func (n *node) take(h *hop, r *request, attempt int) {
	p := n.process
	if p == nil || p.dead {
		return
	}
	p.event(func() {
		if p.lead == nil || !p.core.Serving() {
			h.carry(func() { h.refusedBy(r, attempt) })
			return
		}
		p.lead.requests = append(p.lead.requests, copied{r.id, func(o outcome) {
			h.w.check.answeredRequest(h.w, r.id, o)
			h.carry(func() { r.over = true })
		}})
		p.next()
	})
}

// copied is a copy of a request that waits to be judged, and who is to be told.
type copied struct {
	id   int
	tell func(outcome)
}

// judgeRequests judges what has arrived, on the newest state: the journal's end.
func (p *process) judgeRequests() {
	for _, c := range p.lead.requests {
		if e, found := p.remembered(c.id); found {
			p.w.check.requests.repeats++
			p.answerLater(c, outcome{e.at, e.refused})
			continue
		}
		refused := p.w.writes%4 == 0 // it depends on what was there before
		if refused && p.w.amnesic {
			p.answerLater(c, outcome{refused: true})
			continue
		}
		e := p.appendOne(protocol.ReplicaBoot{}, c.id, refused)
		p.answerLater(c, outcome{e.at, refused})
	}
	p.lead.requests = nil
}

// remembered finds the first answer to an id in the state that the journal gives.
func (p *process) remembered(id int) (entry, bool) {
	state := p.dir.records
	if p.w.shortSighted {
		state = state[:p.commit]
	}
	for _, e := range slices.Backward(state) {
		if e.request == id {
			return e, true
		}
	}
	return entry{}, false
}

// answerLater answers when the state that a copy was judged on is committed, and
// that is confirmed.
func (p *process) answerLater(c copied, o outcome) {
	p.lead.judged = append(p.lead.judged, judgedCopy{p.dir.last().Seq, func() {
		p.join(&pendingRead{done: func() { c.tell(o) }})
	}})
}

// judgedCopy waits for the commit of what it was judged on.
type judgedCopy struct {
	on   protocol.Seq
	tell func()
}

// tellJudged lets go whoever waits for what is committed now. One that has been
// deposed meanwhile confirms nothing: they ask again (world 12186364551936169170).
func (p *process) tellJudged() {
	l := p.lead
	for p.core.Serving() && len(l.judged) > 0 && l.judged[0].on <= p.commit {
		first := l.judged[0]
		l.judged = l.judged[1:]
		first.tell()
	}
}

// findRequest enters a finding about requests, whatever else is judged.
func (c *checker) findRequest(w *world, format string, args ...any) {
	blind := c.blind
	c.blind = false
	c.fail(w, "request "+format, args...)
	c.blind = blind
}

// settleRequest: an id is applied at most once, as it was answered.
func (c *checker) settleRequest(w *world, e entry) {
	if e.request == 0 {
		return
	}
	now := outcome{e.at, e.refused}
	if before, twice := c.requests.settled[e.request]; twice {
		c.findRequest(w, "%d is in the history at %s, and again at %s", e.request, before.at, e.at)
	}
	c.requests.settled[e.request] = now
	if told, answered := c.requests.answers[e.request]; answered && told != now {
		c.findRequest(w, "%d was answered %+v, and is in the history as %+v", e.request, told, now)
	}
	if c.requests.withheld[e.request] && !e.refused {
		c.findRequest(w, "%d was told not to be applied, and is at %s", e.request, e.at)
	}
}

// answeredRequest: every answer to an id is the same.
func (c *checker) answeredRequest(w *world, id int, o outcome) {
	if before, again := c.requests.answers[id]; again && before != o {
		c.findRequest(w, "%d was answered %+v, and then %+v", id, before, o)
	}
	c.requests.answers[id] = o
	if at, there := c.requests.settled[id]; o.at.Seq > 0 && (!there || at != o) {
		c.findRequest(w, "%d is answered %+v, and the history has %+v", id, o, at)
	}
}

// withhold: what is told not to be applied is not, then or later.
func (c *checker) withhold(w *world, id int) {
	c.requests.withheld[id] = true
	if o, there := c.requests.settled[id]; there && !o.refused {
		c.findRequest(w, "%d is told not to be applied, and is at %s", id, o.at)
	}
}

// Without any other check, the answers to requests show a shell that looks ids up
// in what is applied alone, and one that forgets what it refused.
func TestRequestsTell(t *testing.T) {
	for name, breakRule := range map[string]func(*world){
		"ids in the applied state only": func(w *world) { w.shortSighted = true },
		"refusals forgotten":            func(w *world) { w.amnesic = true },
	} {
		t.Run(name, func(t *testing.T) { requireTold(t, breakRule, "request ") })
	}
}
