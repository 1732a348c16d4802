package bubble

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/promql"
	"understudy.example/deploy/observability"
)

// fault is what becomes of the series of a metric that have the labels: they are at
// a value, or rise by so much a minute, or are of another release.
type fault struct {
	metric string
	labels promql.Labels
	value  float64
	change change
}

type change int

const (
	isAt change = iota
	rises
	isOther // release
)

// faults are, for each alert, a cluster that is well but for this. What they are
// about is taken from a real one: a metric or a label that is no more is missed.
var faults = map[string][]fault{
	"UnderstudyNoPrimary":          {{metric: "understudy_has_primary", value: 0}},
	"UnderstudyNoLeader":           {{metric: "understudy_is_leader", value: 0}},
	"UnderstudyTooFewCopies":       {{metric: "understudy_min_copies", value: 4}},
	"UnderstudyFailoverImpossible": {{metric: "understudy_failover_possible", value: 0}},
	"UnderstudyRequestsFailing": {
		{metric: "understudy_proxy_requests_total", labels: promql.Labels{"op": "put", "code": "503"}, value: 60, change: rises},
		{metric: "understudy_proxy_requests_total", labels: promql.Labels{"op": "put", "code": "204"}, value: 300, change: rises},
	},
	"UnderstudyProxyHolding":           {{metric: "understudy_proxy_held_requests", value: 7}},
	"UnderstudyTwoPrimaries":           {{metric: "understudy_is_primary", value: 1}},
	"UnderstudyPrimaryAlone":           {{metric: "understudy_node_state", labels: promql.Labels{"node": "app1", "state": "primary-alone"}, value: 1}},
	"UnderstudyCopiesBelowWanted":      {{metric: "understudy_in_sync_replicas", value: 2}},
	"UnderstudyStandbyOutOfSync":       {{metric: "understudy_node_state", labels: promql.Labels{"node": "app1", "state": "catching-up"}, value: 1}},
	"UnderstudyReplicationLag":         {{metric: "understudy_replication_lag_seconds", value: 20}},
	"UnderstudyStandbyRemovedOften":    {{metric: "understudy_standby_removals_total", labels: promql.Labels{"reason": "slow"}, value: 0.2, change: rises}},
	"UnderstudyResyncFailing":          {{metric: "understudy_resyncs_total", labels: promql.Labels{"result": "failed"}, value: 1, change: rises}},
	"UnderstudyTargetDown":             {{metric: "up", labels: promql.Labels{"instance": "app2"}, value: 0}},
	"UnderstudyNodeUnreachable":        {{metric: "understudy_node_state", labels: promql.Labels{"node": "app1", "state": "unreachable"}, value: 1}},
	"UnderstudyNodeCorrupt":            {{metric: "understudy_node_state", labels: promql.Labels{"node": "app1", "state": "corrupt"}, value: 1}},
	"UnderstudyHearsNoMonitor":         {{metric: "understudy_monitors_answering", value: 0}},
	"UnderstudyViewsDiffer":            {{metric: "understudy_differing_views", value: 1}},
	"UnderstudyDiskFull":               {{metric: "understudy_disk_full", labels: promql.Labels{"instance": "app3"}, value: 1}},
	"UnderstudyDiskStalled":            {{metric: "understudy_disk_unsynced_seconds", value: 3}},
	"UnderstudySnapshotFailing":        {{metric: "understudy_snapshots_written_total", labels: promql.Labels{"result": "failed"}, value: 1, change: rises}},
	"UnderstudyStateNearLimit":         {{metric: "understudy_state_limit_bytes", value: 1000}},
	"UnderstudyRequestTableNearlyFull": {{metric: "understudy_remembered_requests", labels: promql.Labels{"kind": "session"}, value: 9000}},
	"UnderstudyMaintenanceForgotten":   {{metric: "understudy_node_maintenance", labels: promql.Labels{"node": "app1"}, value: 1}},
	"UnderstudyMonitorUnreachable":     {{metric: "understudy_monitor_reachable", labels: promql.Labels{"monitor": "m3"}, value: 0}},
	"UnderstudyElectionChurn":          {{metric: "understudy_registry_term", value: 1, change: rises}},
	"UnderstudyFailoverChurn":          {{metric: "understudy_failovers_total", labels: promql.Labels{"reason": "primary-down", "result": "complete"}, value: 0.1, change: rises}},
	"UnderstudySwitchoverAborted":      {{metric: "understudy_failovers_total", labels: promql.Labels{"result": "aborted"}, value: 0.1, change: rises}},
	"UnderstudyHookFailing":            {{metric: "understudy_hook_events_total", labels: promql.Labels{"result": "failed"}, value: 0.1, change: rises}},
	"UnderstudyFailoverPaused":         {{metric: "understudy_failover_paused", value: 1}},
	"UnderstudyJournalSyncSlow":        {{metric: "understudy_journal_sync_duration_seconds_bucket", labels: promql.Labels{"le": "+Inf"}, value: 100, change: rises}},
	"UnderstudyVersionsMixed":          {{metric: "understudy_build_info", labels: promql.Labels{"instance": "app1"}, change: isOther}},
	"UnderstudyClockSkew":              {{metric: "understudy_clock_skew_seconds", labels: promql.Labels{"node": "app1"}, value: -30}},
}

// fire has each alert fire in a history made of one good moment and of its fault.
func fire(t *testing.T, p *scraper, good int) {
	runbook, err := observability.Runbook()
	require.NoError(t, err)
	read := map[string]bool{}
	for _, r := range p.rules {
		if r.Alert == "" {
			continue
		}
		require.Contains(t, faults, r.Alert, "an alert without a fault that it is for")
		h := p.with(t, faults[r.Alert], good)
		out, err := h.Eval(r.Expr, h.Moments()-1)
		require.NoError(t, err, r.Alert)
		require.NotEmpty(t, out, "%s does not fire: %s", r.Alert, r.Expr)
		explained(t, r, out)
		anchor, ok := strings.CutPrefix(r.Annotations["runbook"], "README.md#")
		require.True(t, ok, r.Alert)
		require.Contains(t, runbook, anchor, r.Alert)
		read[anchor] = true
	}
	require.Len(t, faults, len(read), "a fault without an alert")
	for _, heading := range runbook {
		require.True(t, read[heading], "the runbook has a chapter %q that no alert leads to", heading)
	}
}

// with returns an hour in which everything stays as it was in a good moment, but for
// the faults.
func (p *scraper) with(t *testing.T, faults []fault, good int) *promql.History {
	base := p.At(good)
	for _, f := range faults {
		base = append(base, p.unknown(base, f)...)
	}
	h := &scraper{c: p.c, rules: p.rules}
	began := time.Now()
	met := make([]bool, len(faults))
	for minute := range 61 {
		h.Scrape(began.Add(time.Duration(minute) * time.Minute))
		for _, s := range base {
			if recorded(p.rules, s.Labels["__name__"]) {
				continue
			}
			s.Labels = maps.Clone(s.Labels)
			for i, f := range faults {
				if f.about(s.Labels) {
					met[i] = true
					f.apply(&s, minute)
				}
			}
			h.Add(s.Labels, s.Value)
		}
	}
	h.record()
	for i, f := range faults {
		require.True(t, met[i], "%s with %v is not exported", f.metric, f.labels)
	}
	return &h.History
}

// unknown returns the series of a fault that came into being only later.
func (p *scraper) unknown(base []promql.Sample, f fault) []promql.Sample {
	isIt := func(s promql.Sample) bool { return f.about(s.Labels) }
	if slices.ContainsFunc(base, isIt) {
		return nil
	}
	for moment := range p.Moments() {
		all := p.At(moment)
		if i := slices.IndexFunc(all, isIt); i >= 0 {
			return all[i : i+1]
		}
	}
	return nil
}

func recorded(rules []observability.Rule, name string) bool {
	return slices.ContainsFunc(rules, func(r observability.Rule) bool { return r.Record == name })
}

func (f fault) about(l promql.Labels) bool {
	if l["__name__"] != f.metric {
		return false
	}
	for name, v := range f.labels {
		if l[name] != v {
			return false
		}
	}
	return true
}

func (f fault) apply(s *promql.Sample, minute int) {
	switch f.change {
	case isAt:
		s.Value = f.value
	case rises:
		s.Value += f.value * float64(minute)
	case isOther:
		s.Labels["version"] = "v9.9.9"
	}
}

var ofAnnotation = regexp.MustCompile(`\$labels\.([a-z_]+)`)

// explained checks that an alert says what an operator needs, with labels that the
// alert has.
func explained(t *testing.T, r observability.Rule, firing []promql.Sample) {
	require.Contains(t, []string{"page", "ticket"}, r.Labels["severity"], r.Alert)
	require.Len(t, r.Annotations, 3, r.Alert)
	for _, part := range []string{"summary", "description"} {
		text := r.Annotations[part]
		require.Regexp(t, `^\S.*\.$`, text, "%s: the %s is made of sentences", r.Alert, part)
		for _, m := range ofAnnotation.FindAllStringSubmatch(text, -1) {
			require.NotEmpty(t, firing[0].Labels[m[1]], "%s: its %s names %q, and it has not that label", r.Alert, part, m[1])
		}
	}
	require.Greater(t, len(r.Annotations["description"]), 60, r.Alert)
}
