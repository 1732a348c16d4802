package protocol_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/history"
	"understudy.example/pkg/protocol"
)

const (
	// simKeys is how many keys the clients of a world write and read. With few, a stall
	// of the disk leaves so many writes of one key under way at once that no judgement
	// comes to an end.
	simKeys = 64
	// judgeLimit bounds the judgement of one key.
	judgeLimit = time.Second
)

// clients is what the clients of a world asked and were told. It is judged without
// any knowledge of positions, epochs or journals: by what was asked and answered.
type clients struct {
	history   *history.History
	writes    map[int]*history.Call // by the record's id
	asked     int                   // reads
	undecided int                   // keys whose judgement took too long
}

func newClients() clients {
	return clients{history: history.New(nil), writes: map[int]*history.Call{}}
}

func keyOf(n int) string { return "k" + strconv.Itoa(n%simKeys) }

// write: a client's write becomes a record.
func (c *clients) write(e entry) {
	if e.request != 0 {
		return // judged by its answers
	}
	c.writes[e.id] = c.history.Begin(history.Operation{Kind: history.Write, Key: keyOf(e.id), Value: strconv.Itoa(e.id)})
}

// acknowledge: its client is told so.
func (c *clients) acknowledge(e entry) {
	if w := c.writes[e.id]; w != nil { // an epoch-start has no client
		w.Done()
	}
}

// clientRead is a read as its client sees it.
type clientRead struct {
	key  string
	call *history.Call
}

func (c *clients) read() clientRead {
	c.asked++
	r := clientRead{key: keyOf(c.asked)}
	r.call = c.history.Begin(history.Operation{Kind: history.Read, Key: r.key})
	return r
}

// answer tells a client what a journal holds under its key, up to a record.
func (r *clientRead) answer(d *directory, upTo protocol.Seq) {
	value := ""
	for _, e := range slices.Backward(d.records[:min(int(upTo), len(d.records))]) {
		if e.by == (protocol.ReplicaBoot{}) && e.request == 0 && keyOf(e.id) == r.key {
			value = strconv.Itoa(e.id)
			break
		}
	}
	r.call.Shown(value)
}

// acknowledgeable is the seq up to which clients are answered.
func (p *process) acknowledgeable() protocol.Seq {
	if p.w.forgetful {
		return protocol.Seq(p.dir.durable)
	}
	return p.commit
}

// judge asks of the whole world what its clients saw.
func (w *world) judge() {
	if w.check.broken != "" {
		return
	}
	v := w.check.clients.history.Judge(judgeLimit)
	w.check.clients.undecided = len(v.Undecided)
	if len(v.Broken) > 0 {
		w.check.broken = v.Broken[0]
		w.tell("BROKEN: %s", w.check.broken)
	}
}

// Without any other check, the histories of clients show a stale read and a lost
// write.
func TestHistoriesTell(t *testing.T) {
	for name, breakRule := range map[string]func(*world){
		"reads without a confirm":          func(w *world) { w.hasty = true },
		"acknowledged by the primary only": func(w *world) { w.forgetful = true },
	} {
		t.Run(name, func(t *testing.T) { requireTold(t, breakRule, "no order explains its") })
	}
}

// requireTold requires that what clients see tells of a broken rule, in those words,
// within 200 worlds, with every other check off.
func requireTold(t *testing.T, breakRule func(*world), words string) {
	t.Helper()
	for seed := range uint64(200) {
		w := newWorld(seed, false, nil)
		w.check.blind = true
		breakRule(w)
		w.play()
		if w.check.broken != "" {
			require.Contains(t, w.check.broken, words)
			t.Logf("world %d: %s", seed+1, w.check.broken)
			return
		}
	}
	require.Fail(t, "nothing told")
}
