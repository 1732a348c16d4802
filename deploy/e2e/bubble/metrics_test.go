package bubble

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	appnode "understudy.example/appnode/server"
	"understudy.example/deploy/internal/promql"
	"understudy.example/deploy/observability"
	monitor "understudy.example/monitor/server"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// scrapeEvery is as in the example of a configuration.
const scrapeEvery = 15 * time.Second

// aWhile is long enough for a trouble to show in several scrapes.
const aWhile = 2 * scrapeEvery

// scraper stands for Prometheus: it takes what the processes of a bubble export, with
// the labels of the example of a configuration, and evaluates the recording rules.
type scraper struct {
	c     *cluster
	rules []observability.Rule
	jobs  map[string]observability.Job
	promql.History
	texts map[string][]byte // the newest answer of each process
}

func newScraper(c *cluster) *scraper {
	p := &scraper{c: c, jobs: map[string]observability.Job{}, texts: map[string][]byte{}}
	var err error
	p.rules, err = observability.Rules()
	require.NoError(c.t, err)
	jobs, err := observability.Jobs()
	require.NoError(c.t, err)
	for _, j := range jobs {
		p.jobs[j.Name] = j
	}
	return p
}

// scrape takes what every process exports now.
func (p *scraper) scrape() {
	p.Scrape(time.Now())
	for _, name := range p.c.monitorNames() {
		p.take("understudy-monitors", name, monitorAt(name))
	}
	for _, name := range p.c.names() {
		p.take("understudy-nodes", name, address(name))
	}
	p.record()
}

// record adds what the recording rules make of the newest moment.
func (p *scraper) record() {
	for _, r := range p.rules {
		if r.Record == "" {
			continue
		}
		out, err := p.Eval(r.Expr, p.Moments()-1)
		require.NoError(p.c.t, err)
		for _, s := range out {
			s.Labels["__name__"] = r.Record
			p.Add(s.Labels, s.Value)
		}
	}
}

func (p *scraper) take(job, instance, at string) {
	target := promql.Labels{"job": job, "instance": instance}
	maps.Copy(target, p.jobs[job].Labels)
	up := promql.Labels{"__name__": "up"}
	maps.Copy(up, target)
	a := p.c.http.sendWithin(time.Second, http.MethodGet, at+"/metrics", "")
	if a.err != nil {
		p.Add(up, 0)
		return
	}
	require.Equal(p.c.t, http.StatusOK, a.status, "%s: %s", instance, a.body)
	p.texts[instance] = a.body
	p.Add(up, 1)
	require.NoError(p.c.t, p.AddText(bytes.NewReader(a.body), target))
}

// watch scrapes for a while.
func (p *scraper) watch(d time.Duration) {
	for range d / scrapeEvery {
		time.Sleep(scrapeEvery)
		p.scrape()
	}
}

// holding returns the alerts whose expressions hold at a moment.
func (p *scraper) holding(moment int) []string {
	var out []string
	for _, r := range p.rules {
		if r.Alert == "" {
			continue
		}
		samples, err := p.Eval(r.Expr, moment)
		require.NoError(p.c.t, err, r.Alert)
		if len(samples) > 0 {
			out = append(out, r.Alert)
		}
	}
	return out
}

// expect expects alerts to hold now, whatever others do.
func (p *scraper) expect(alerts ...string) {
	p.c.t.Helper()
	require.Subset(p.c.t, p.holding(p.Moments()-1), alerts)
}

// work writes and reads through every monitor in turn until the func that it
// returns is called.
func (c *cluster) work() (end func()) {
	stop, done := make(chan struct{}), sync.WaitGroup{}
	for i, name := range c.monitorNames() {
		done.Go(func() {
			for n := 0; ; n++ {
				c.http.put(monitorAt(name), fmt.Sprintf("w%d-%d", i, n%100), strings.Repeat("x", 4<<10))
				c.http.get(monitorAt(name), "w0-0")
				select {
				case <-stop:
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
	return func() { close(stop); done.Wait() }
}

// metricsStory has a cluster live through good days and bad ones, and returns what
// Prometheus saw of it, with the number of moments that were good.
func metricsStory(t *testing.T) (p *scraper, good int) {
	o := clusterOptions{
		nodes: 3, monitors: 3,
		settings: func(s *protocol.Settings) { s.Hold = protocol.Duration(time.Second); s.ReplaceAfter = 0 },
		monitor:  func(o *monitor.Options) { o.Hook.URL = "http://hook:80/" }, // where nobody listens
		node:     func(_ string, o *appnode.Options) { o.MaxBytes = 64 << 20 },
	}
	inBubble(t, o, func(t *testing.T, c *cluster) {
		p = newScraper(c)
		defer c.work()()
		p.watch(time.Minute)
		p.custom()
		p.watch(time.Minute)
		good = p.Moments()
		p.trouble()
	})
	return p, good
}

// custom is what callers do that work does not: a watch, and a write that comes again.
func (p *scraper) custom() {
	c := p.c
	var watching sync.WaitGroup
	watching.Go(func() { c.http.sendWithin(2*scrapeEvery, http.MethodGet, monitorAddress+wire.PathWatch, "") })
	for range 2 {
		a := c.http.send(http.MethodPut, monitorAddress+"/v1/kv/again", "v", "Idempotency-Key", "k")
		require.Equal(c.t, http.StatusNoContent, a.status, "%s", a.body)
	}
	p.watch(scrapeEvery)
	watching.Wait()
}

// trouble has one thing after the other fail. The story looks after each whether
// the alerts for it hold.
func (p *scraper) trouble() {
	c := p.c
	primary, standby := c.roles()
	c.crash(standby)
	p.watch(aWhile)
	p.expect("UnderstudyTargetDown", "UnderstudyNodeUnreachable", "UnderstudyCopiesBelowWanted")
	for _, other := range c.names() {
		if other != primary && other != standby {
			c.powerOff(other)
			c.wipe(other)
		}
	}
	p.watch(aWhile)
	p.expect("UnderstudyPrimaryAlone", "UnderstudyFailoverImpossible")
	c.crash(primary)
	p.watch(2 * aWhile)
	p.expect("UnderstudyNoPrimary", "UnderstudyRequestsFailing", "UnderstudyProxyHolding")
	for _, name := range c.names() {
		c.start(name)
	}
	c.waitInSync(c.names()...)
	c.crashMonitorOf(c.leader())
	p.watch(aWhile)
	p.expect("UnderstudyMonitorUnreachable")
	for _, name := range c.monitorNames() {
		if c.monitors[name].running() {
			c.crashMonitorOf(name)
		}
	}
	p.watch(aWhile)
	p.expect("UnderstudyNoLeader", "UnderstudyHearsNoMonitor")
	for _, name := range c.monitorNames() {
		c.startMonitorOf(name)
	}
	c.waitReady(c.monitorNames()...)
	c.waitInSync(c.names()...)
	for range 4 {
		_, to := c.roles()
		a := c.http.send(http.MethodPost, monitorAddress+"/v1/switchover", `{"to":"`+to+`"}`)
		require.Empty(c.t, a.code(), "%s", a.body)
		p.watch(scrapeEvery)
	}
	p.expect("UnderstudyFailoverChurn", "UnderstudyHookFailing")
	p.remove(standby)
}

// remove takes a node out of the cluster for good: nothing speaks of it any more but
// its target.
func (p *scraper) remove(name string) {
	c := p.c
	c.crash(name)
	a := c.http.send(http.MethodDelete, monitorAddress+"/v1/nodes/"+name, "")
	require.Empty(c.t, a.code(), "%s", a.body)
	c.eventually(name+" is forgotten", func() bool {
		return !slices.ContainsFunc(c.http.cluster().Nodes, func(n wire.NodeView) bool { return n.Name == name })
	})
	p.watch(aWhile)
	for _, s := range p.At(p.Moments() - 1) {
		for label, v := range s.Labels {
			require.True(c.t, v != name || label == "instance", "%v speaks of a node that was removed", s.Labels)
		}
	}
}
