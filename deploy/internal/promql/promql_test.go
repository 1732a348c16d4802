package promql

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// history is of two instances, scraped four times, a minute apart. The first starts
// again before the third.
func history(t *testing.T) *History {
	t.Helper()
	h := &History{}
	for i, total := range []int{100, 160, 30, 90} {
		h.Scrape(time.Unix(int64(60*i), 0))
		require.NoError(t, h.AddText(strings.NewReader(fmt.Sprintf(`
# TYPE requests_total counter
requests_total{code="200"} %d
requests_total{code="503"} %d
# TYPE leads gauge
leads 1
# TYPE took_seconds histogram
took_seconds_bucket{le="0.1"} %d
took_seconds_bucket{le="1"} %d
took_seconds_bucket{le="+Inf"} %d
took_seconds_sum 7
took_seconds_count %d
`, total, i, 5*i, 9*i, 10*i, 10*i)), Labels{"instance": "a", "cluster": "main"}))
		require.NoError(t, h.AddText(strings.NewReader(`
# TYPE requests_total counter
requests_total{code="200"} 7
# TYPE leads gauge
leads 0
`), Labels{"instance": "b", "cluster": "main"}))
	}
	return h
}

// shown writes samples as people do, in order.
func shown(samples []Sample) []string {
	out := []string{}
	for _, s := range samples {
		var parts []string
		for name, v := range s.Labels {
			if name != nameLabel {
				parts = append(parts, name+"="+v)
			}
		}
		slices.Sort(parts)
		out = append(out, fmt.Sprintf("%s{%s} %.4g", s.Labels[nameLabel], strings.Join(parts, ","), s.Value))
	}
	slices.Sort(out)
	return out
}

func TestEval(t *testing.T) {
	h := history(t)
	for expr, want := range map[string][]string{
		`leads`:                       {"leads{cluster=main,instance=a} 1", "leads{cluster=main,instance=b} 0"},
		`nothing`:                     {},
		`requests_total{code=~"5.."}`: {"requests_total{cluster=main,code=503,instance=a} 3"},
		`requests_total{code!~"5..", instance!="b"}`: {"requests_total{cluster=main,code=200,instance=a} 90"},
		`leads == 0`:                                                              {"leads{cluster=main,instance=b} 0"},
		`sum(leads)`:                                                              {"{} 1"},
		`max by (cluster) (leads)`:                                                {"{cluster=main} 1"},
		`min by (cluster) (leads)`:                                                {"{cluster=main} 0"},
		`count by (instance) (requests_total)`:                                    {"{instance=a} 2", "{instance=b} 1"},
		`count(count by (code) (requests_total)) > 1`:                             {"{} 2"},
		`requests_total and on (instance) leads == 1`:                             {"requests_total{cluster=main,code=200,instance=a} 90", "requests_total{cluster=main,code=503,instance=a} 3"},
		`leads unless on (instance) requests_total{code="503"}`:                   {"leads{cluster=main,instance=b} 0"},
		`leads{instance="a"} or on (cluster) leads`:                               {"leads{cluster=main,instance=a} 1"},
		`leads + on (instance) group_left () leads`:                               {"{cluster=main,instance=a} 2", "{cluster=main,instance=b} 0"},
		`leads + on (instance) leads`:                                             {"{instance=a} 2", "{instance=b} 0"},
		`leads > ignoring (cluster) leads - 1`:                                    {"leads{instance=a} 1", "leads{instance=b} 0"},
		`requests_total{code="503"} / ignoring (code) requests_total{code="200"}`: {"{cluster=main,instance=a} 0.03333"},
		`requests_total * on (instance) group_left () leads > 50`:                 {"{cluster=main,code=200,instance=a} 90"},
		`abs(leads - 3)`:                                                          {"{cluster=main,instance=a} 2", "{cluster=main,instance=b} 3"},
		`increase(requests_total{code="200"}[4m])`:                                {"{cluster=main,code=200,instance=a} 150", "{cluster=main,code=200,instance=b} 0"},
		`increase(requests_total{code="200"}[3m])`:                                {"{cluster=main,code=200,instance=a} 90", "{cluster=main,code=200,instance=b} 0"},
		`rate(requests_total{code="503"}[2m])`:                                    {"{cluster=main,code=503,instance=a} 0.008333"},
		`changes(requests_total{code="200"}[5m])`:                                 {"{cluster=main,code=200,instance=a} 3", "{cluster=main,code=200,instance=b} 0"},
		`max_over_time(requests_total{code="200", instance="a"}[5m])`:             {"{cluster=main,code=200,instance=a} 160"},
		`min_over_time(requests_total{code="200", instance="a"}[5m])`:             {"{cluster=main,code=200,instance=a} 30"},
		`histogram_quantile(0.5, rate(took_seconds_bucket[5m]))`:                  {"{cluster=main,instance=a} 0.1"},
		`histogram_quantile(0.7, sum by (le) (took_seconds_bucket))`:              {"{} 0.55"},
		`histogram_quantile(0.99, took_seconds_bucket)`:                           {"{cluster=main,instance=a} 1"},
	} {
		out, err := h.Eval(expr, 3)
		require.NoError(t, err, expr)
		require.Equal(t, want, shown(out), expr)
	}
	out, err := h.Eval(`histogram_quantile(0.5, took_seconds_bucket)`, 0)
	require.NoError(t, err)
	require.True(t, math.IsNaN(out[0].Value), "nothing was counted")
	out, err = h.Eval(`increase(requests_total[5m])`, 0)
	require.NoError(t, err)
	require.Empty(t, out, "one point shows no increase")
}

func TestWhatIsNotKnownIsRefused(t *testing.T) {
	h := history(t)
	for expr, says := range map[string]string{
		`sum(`:                           "parse",
		`rate(leads)`:                    "has no window",
		`leads[5m]`:                      "is not known here",
		`rate(leads[5m] offset 1m)`:      "more than a selector",
		`rate(sum(leads)[5m:1m])`:        "more than a selector",
		`deriv(leads[5m])`:               "deriv",
		`avg(leads)`:                     "is not known here",
		`sum without (instance) (leads)`: "is not known here",
		`leads ^ 2`:                      "operator",
		`leads == bool 1`:                "operator",
		`1 - leads`:                      "number on the right",
		`leads and 1`:                    "has no labels",
		`{job="x"}`:                      "has no name",
		`leads{instance=~"("}`:           "parse",
		`leads + on (cluster) leads`:     "several samples on the right",
		`leads + on (cluster) group_right () leads`:                "several samples on the right",
		`requests_total + on (instance) leads`:                     "several samples on the left",
		`leads{instance="a"} + on (instance) group_right () leads`: "group_right",
		`{instance="a" or instance="b"}`:                           "alternatives",
		`histogram_quantile(leads, leads)`:                         "is no number",
		`histogram_quantile(0.5, leads)`:                           "has no buckets",
	} {
		_, err := h.Eval(expr, 3)
		require.ErrorContains(t, err, says, expr)
	}
	require.Error(t, h.AddText(strings.NewReader("no metrics"), nil))
}

func TestNames(t *testing.T) {
	h := history(t)
	for _, expr := range []string{
		`sum by (cluster, code) (rate(requests_total{code=~"2.."}[5m])) > 0`,
		`requests_total * on (instance) group_left () leads`,
		`max by (instance) (requests_total or on (instance) leads)`,
		`histogram_quantile(0.5, sum by (le) (took_seconds_bucket)) and took_seconds_count > took_seconds_sum`,
	} {
		require.Empty(t, h.Check(expr), expr)
	}
	for expr, says := range map[string]string{
		`sum(leads`:                                 `argList`,
		`sum(laeds)`:                                `there is no metric "laeds"`,
		`rate(request_total[5m])`:                   `there is no metric "request_total"`,
		`leads{inst="a"}`:                           `leads has no label "inst"`,
		`leads{instance="c"}`:                       `has never chosen anything`,
		`requests_total{code=~"4.."}`:               `has never chosen anything`,
		`sum by (inst) (leads)`:                     `there is no label "inst"`,
		`sum by (code) (sum by (instance) (leads))`: `there is no label "code"`,
		`leads + on (inst) leads`:                   `there is no label "inst"`,
		`requests_total * on (instance) group_left (version) leads`: `there is no label "version"`,
		`abs(leads{inst!=""})`: `has no label "inst"`,
		`{instance="a"}`:       `has no name`,
	} {
		require.Contains(t, strings.Join(h.Check(expr), "; "), says, expr)
	}
}
