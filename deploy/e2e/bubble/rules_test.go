package bubble

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"understudy.example/deploy/internal/promql"
	"understudy.example/deploy/observability"
)

// TestObservability judges the rules, the dashboard and the metrics by what a
// cluster exports in good times and in bad ones.
func TestObservability(t *testing.T) {
	p, good := metricsStory(t)
	panels, err := observability.Panels()
	require.NoError(t, err)

	t.Run("metrics are named and explained", func(t *testing.T) { lint(t, p.texts) })
	t.Run("metrics move", func(t *testing.T) { moves(t, p) })
	t.Run("rules name what there is", func(t *testing.T) {
		for _, r := range p.rules {
			require.Empty(t, p.Check(r.Expr), r.Expr)
		}
	})
	t.Run("the dashboard names what there is", func(t *testing.T) {
		for _, panel := range panels {
			for _, target := range panel.Targets {
				require.Empty(t, p.Check(filled(target.Expr)), panel.Title)
			}
		}
	})
	t.Run("a wrong name is found", func(t *testing.T) { misspell(t, p) })
	t.Run("no alert in good times", func(t *testing.T) {
		require.Greater(t, good, 5)
		for moment := range good {
			require.Empty(t, p.holding(moment), "at scrape %d of %d", moment, good)
		}
	})
	t.Run("every panel shows something", func(t *testing.T) {
		for _, panel := range panels {
			for _, target := range panel.Targets {
				shows(t, p, panel.Title, target.Expr, target.Legend)
			}
		}
	})
	t.Run("every alert can fire", func(t *testing.T) { fire(t, p, good-1) })
}

// lint checks what each process exports under the project's name.
func lint(t *testing.T, texts map[string][]byte) {
	require.Len(t, texts, 6)
	for instance, text := range texts {
		problems, err := promlint.New(bytes.NewReader(text)).Lint()
		require.NoError(t, err, instance)
		for _, x := range problems {
			require.False(t, strings.HasPrefix(x.Metric, "understudy_"), "%s: %s: %s", instance, x.Metric, x.Text)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
		require.NoError(t, err, instance)
		own := 0
		for name, f := range families {
			switch {
			case strings.HasPrefix(name, "understudy_"):
				own++
				require.Regexp(t, `^[A-Z1].*\.$`, f.GetHelp(), "the help of %s is a sentence", name)
				require.LessOrEqual(t, len(f.GetMetric()), 200, "%s has too many series for so small a cluster", name)
			default:
				require.Regexp(t, `^(go|process|promhttp)_`, name)
			}
		}
		require.Greater(t, own, 15, instance)
	}
}

// still are the metrics that do not move in the story: those that tell how a process
// was built or set up, those that take no time on disks in memory or are over between
// two scrapes, and those of what the story leaves out.
var still = []string{
	"understudy_build_info", "understudy_state_limit_bytes", "understudy_wanted_copies", "understudy_min_copies", "understudy_monitors",
	"understudy_remembered_requests_limit",

	"understudy_replication_lag_seconds", "understudy_snapshot_sends_in_progress", "understudy_resync_in_progress",
	"understudy_journal_sync_duration_seconds_sum", "understudy_resync_duration_seconds_sum", "understudy_snapshot_write_duration_seconds_sum",
	"understudy_disk_unsynced_seconds", "understudy_clock_skew_seconds", "understudy_has_leader", "understudy_upstream_connected",

	"understudy_disk_full", "understudy_node_maintenance",
	"understudy_stream_relayed_bytes_total", "understudy_differing_views", "understudy_spares", "understudy_failover_paused",
	"understudy_proxy_reads_resent_total", "understudy_member_replacements_total",
}

// moves checks that every other metric of the project's has had several values. The
// faults make those that matter move, too.
func moves(t *testing.T, p *scraper) {
	first, moved := map[string]float64{}, map[string]bool{}
	for moment := range p.Moments() {
		for _, s := range p.At(moment) {
			name := s.Labels["__name__"]
			if v, seen := first[name]; seen && v != s.Value {
				moved[name] = true
			} else if !seen {
				first[name] = s.Value
			}
		}
	}
	var resting []string
	for name := range first {
		if strings.HasPrefix(name, "understudy_") && !moved[name] {
			resting = append(resting, name)
		}
	}
	require.Subset(t, still, resting)
}

// filled puts a value in the place of a dashboard's variables.
func filled(expr string) string {
	return strings.NewReplacer("$cluster", "main", "$__rate_interval", "1m").Replace(expr)
}

// misspell checks that the checks above would find something.
func misspell(t *testing.T, p *scraper) {
	for expr, says := range map[string]string{
		`understudy_has_primray`:                                                       `no metric "understudy_has_primray"`,
		`sum by (clutser) (understudy_has_primary)`:                                    `no label "clutser"`,
		`understudy_has_primary{grp="0"}`:                                              `no label "grp"`,
		`understudy_node_state{state="primary-alnoe"}`:                                 `never chosen anything`,
		`understudy_has_primary and on (instnace) understudy_is_leader`:                `no label "instnace"`,
		`rate(understudy_proxy_requests_totals[5m]) > 0`:                               `no metric`,
		`histogram_quantile(0.9, sum by (l) (understudy_journal_sync_seconds_bucket))`: `no metric`,
		`sum(understudy_has_primary`:                                                   `argList`,
	} {
		wrong := strings.Join(p.Check(expr), "; ")
		require.Contains(t, wrong, says, expr)
	}
}

var placeholder = regexp.MustCompile(`\{\{ *([a-z_]+) *\}\}`)

// shows checks that a target has shown something, with the labels that its legend
// names.
func shows(t *testing.T, p *scraper, title, expr, legend string) {
	var shown []promql.Sample
	missing := func() string {
		for _, m := range placeholder.FindAllStringSubmatch(legend, -1) {
			if !slices.ContainsFunc(shown, func(s promql.Sample) bool { return s.Labels[m[1]] != "" }) {
				return m[1]
			}
		}
		return ""
	}
	for moment := p.Moments() - 1; moment >= 0 && (len(shown) == 0 || missing() != ""); moment-- {
		out, err := p.Eval(filled(expr), moment)
		require.NoError(t, err, title)
		shown = append(shown, out...)
	}
	require.NotEmpty(t, shown, "%s: %s", title, expr)
	require.Empty(t, missing(), "%s: the legend names what %s has not", title, expr)
}
