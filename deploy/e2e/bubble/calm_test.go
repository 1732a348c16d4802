package bubble

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

const (
	// settles bounds the time from the end of all harm until the primary serves.
	settles = 6 * time.Second
	// slowest bounds what is left of any request when the primary serves again and
	// nothing is out of order, and quick what a new one takes after that.
	slowest = time.Second
	quick   = 500 * time.Millisecond
)

// askers ask every monitor and every node, each one question after the other, and
// wait for as long as it takes: whoever loses a question is found out.
type askers struct {
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	serving map[protocol.Epoch]string // who said that it is the primary of an epoch
}

func (x *chaos) startAskers() *askers {
	ctx, cancel := context.WithCancel(context.Background())
	a := &askers{cancel: cancel, serving: map[protocol.Epoch]string{}}
	repeat := func(ask func()) {
		a.work.Go(func() {
			for ctx.Err() == nil {
				ask()
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	for _, name := range x.names() {
		repeat(func() { x.http.get(address(name), sharedPrefix+"0") })
		repeat(func() { x.noteServing(name) })
	}
	for _, name := range x.monitorNames() {
		repeat(func() { x.http.get(monitorAt(name), sharedPrefix+"0") })
	}
	bulk, n := strings.Repeat("x", segmentBytes/8), 0
	repeat(func() { // journals are trimmed and disks fill up
		n++
		x.put(monitorAt(x.monitorNames()[n%len(x.monitors)]), fmt.Sprint("bulk-", n), bulk)
	})
	x.t.Cleanup(a.stop)
	return a
}

func (a *askers) stop() {
	a.cancel()
	a.work.Wait()
}

// noteServing notes whose epoch it is. An epoch has one primary.
func (x *chaos) noteServing(name string) {
	hb, err := x.http.heartbeat(name)
	if err != nil || len(hb.Groups) == 0 || !hb.Groups[0].Serving {
		return
	}
	epoch := hb.Groups[0].Epoch
	x.askers.mu.Lock()
	other, known := x.askers.serving[epoch]
	x.askers.serving[epoch] = name
	x.askers.mu.Unlock()
	if known && other != name {
		x.find("%s serves in epoch %d, and so did %s", name, epoch, other)
	}
}

// find notes what must not be.
func (x *chaos) find(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	x.story.note("finding: " + text)
	x.t.Error(text)
}

// calm judges what must hold when there is no harm any more, though not everybody may
// be in sync yet: the primary serves before long, what was asked before is answered,
// and what is asked now is answered at once.
func (x *chaos) calm() {
	x.t.Helper()
	began := time.Now()
	var g []string
	x.eventually("the primary serves", func() bool {
		group := x.group()
		g = group.InSync
		return group.Serving
	})
	settled := time.Now()
	if took := settled.Sub(began); took > settles {
		x.find("the primary serves %s after the last harm", took)
	}
	time.Sleep(slowest)
	late := x.http.waiting(settled)
	in := x.group().InSync
	in = slices.DeleteFunc(in, func(name string) bool { return !slices.Contains(g, name) })
	for _, p := range late {
		host, _, _ := strings.Cut(p.url, ":")
		if slices.Contains(in, host) || slices.Contains(x.monitorNames(), host) {
			x.find("%s %s waits for %s, %s of it since all is well", p.method, p.url, time.Since(p.began), time.Since(settled))
		}
	}
	x.askAll(in)
}

// askAll has every monitor and all who are in sync answer at once.
func (x *chaos) askAll(inSync []string) {
	x.t.Helper()
	x.calms++
	key := fmt.Sprint(witnessed, "calm-", x.calms)
	for _, name := range x.monitorNames() {
		began := time.Now()
		if code := x.put(monitorAt(name), key+name, "v"); code != "" || time.Since(began) > quick {
			x.find("a write through %s is answered %q after %s", name, code, time.Since(began))
		}
		x.asks(monitorAt(name), key+name, inSync)
	}
	for _, name := range inSync {
		x.asks(address(name), key+x.monitorNames()[0], inSync)
	}
	time.Sleep(quick)
	for _, w := range x.witnesses {
		if !w.saw(key+x.monitorNames()[0]) && w.stays {
			x.find("a watch at %s has not shown %s", w.now(), key+x.monitorNames()[0])
		}
	}
}

// asks reads a key where it must be read at once. A standby whose stream moves at this
// moment names the primary instead, and who has left the in-sync set since need not
// answer.
func (x *chaos) asks(at, key string, inSync []string) {
	began := time.Now()
	a := x.http.get(at, key)
	for a.code() == problem.NotPrimary && time.Since(began) < quick {
		time.Sleep(poll)
		a = x.http.get(at, key)
	}
	took := time.Since(began)
	if host, _, _ := strings.Cut(at, ":"); slices.Contains(inSync, host) && !slices.Contains(x.group().InSync, host) {
		return
	}
	if a.code() != "" || string(a.body) != "v" || took > quick {
		x.find("a read at %s is answered %q after %s", at, a.code(), took)
	}
}

// judgeViews requires that every monitor shows the same, and that the nodes say it of
// themselves.
func (x *chaos) judgeViews() {
	x.t.Helper()
	differs := ""
	for began := time.Now(); time.Since(began) < settles; time.Sleep(poll) {
		if differs = x.difference(x.http.cluster()); differs == "" {
			return
		}
	}
	x.find("all is well, and %s", differs)
}

// difference says who shows another state of the group than the leading monitor.
func (x *chaos) difference(led wire.Cluster) string {
	if len(led.Groups) != 1 {
		return "there is no leader"
	}
	want := led.Groups[0]
	for _, name := range x.monitorNames() {
		view := x.http.clusterAt(monitorAt(name))
		if view.Leader != led.Leader || view.Cluster != led.Cluster || !reflect.DeepEqual(view.Settings, led.Settings) || !reflect.DeepEqual(view.Groups, led.Groups) {
			return fmt.Sprintf("%s shows %+v of %s, where the leader shows %+v of %s", name, view.Groups, view.Leader, led.Groups, led.Leader)
		}
	}
	for _, name := range x.names() {
		hb, err := x.http.heartbeat(name)
		if err != nil || len(hb.Groups) != 1 {
			return fmt.Sprintf("%s says %+v (%v)", name, hb, err)
		}
		g := hb.Groups[0]
		if g.Version != want.Version || g.Epoch != want.Epoch || g.Serving != (name == want.Primary) {
			return fmt.Sprintf("%s says %+v, where the leader shows %+v", name, g, want)
		}
	}
	return ""
}

// judgeHistory holds the story that the cluster tells against what the nodes said.
func (x *chaos) judgeHistory() {
	x.t.Helper()
	told := map[protocol.Epoch]bool{}
	for _, e := range x.past() {
		if e.Kind != protocol.KindFailover && e.Kind != protocol.KindSwitchover {
			continue
		}
		x.judgeChange(e, told[e.Epoch])
		told[e.Epoch] = true
	}
	g := x.group()
	require.Equal(x.t, g.Primary, x.askers.serving[g.Epoch])
}

func (x *chaos) judgeChange(e protocol.HistoryEvent, again bool) {
	x.t.Helper()
	if again {
		x.find("the change to epoch %d is told twice: %s", e.Epoch, e.Detail)
	}
	if who, known := x.askers.serving[e.Epoch]; known && who != e.Node {
		x.find("%s served in epoch %d, and the history says: %s", who, e.Epoch, e.Detail)
	}
	if who, known := x.askers.serving[e.Epoch-1]; known && !strings.Contains(e.Detail, " from "+who+" ") {
		x.find("%s served in epoch %d, and the history of the next says: %s", who, e.Epoch-1, e.Detail)
	}
}
