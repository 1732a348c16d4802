package promql

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metricsql"
)

// overWindow are the functions of a range that reaches back so far. They return
// false where the points are too few.
var overWindow = map[string]func(p []point, reach time.Duration) (float64, bool){
	"increase":      func(p []point, _ time.Duration) (float64, bool) { return increase(p), len(p) > 1 },
	"rate":          func(p []point, reach time.Duration) (float64, bool) { return increase(p) / reach.Seconds(), len(p) > 1 },
	"changes":       func(p []point, _ time.Duration) (float64, bool) { return changes(p), true },
	"max_over_time": func(p []point, _ time.Duration) (float64, bool) { return fold(p, math.Max), true },
	"min_over_time": func(p []point, _ time.Duration) (float64, bool) { return fold(p, math.Min), true },
}

// increase adds up the rises of a counter, which begins at 0 again with its process.
func increase(p []point) float64 {
	sum := 0.0
	for i := 1; i < len(p); i++ {
		if p[i].v >= p[i-1].v {
			sum += p[i].v - p[i-1].v
		} else {
			sum += p[i].v
		}
	}
	return sum
}

func changes(p []point) float64 {
	n := 0.0
	for i := 1; i < len(p); i++ {
		if p[i].v != p[i-1].v {
			n++
		}
	}
	return n
}

func fold(p []point, f func(a, b float64) float64) float64 {
	v := p[0].v
	for _, x := range p[1:] {
		v = f(v, x.v)
	}
	return v
}

func (q *query) call(e *metricsql.FuncExpr) (value, error) {
	if f, ok := overWindow[e.Name]; ok && len(e.Args) == 1 {
		return q.roll(e.Args[0], f)
	}
	switch {
	case e.Name == "abs" && len(e.Args) == 1:
		v, err := q.eval(e.Args[0])
		out := value{}
		for _, s := range v.samples {
			out.samples = append(out.samples, Sample{s.Labels.only(unnamed), math.Abs(s.Value)})
		}
		return out, err
	case e.Name == "histogram_quantile" && len(e.Args) == 2:
		return q.quantile(e)
	}
	return value{}, fmt.Errorf("the function %s with %d arguments is not known here", e.Name, len(e.Args))
}

func (q *query) roll(arg metricsql.Expr, f func([]point, time.Duration) (float64, bool)) (value, error) {
	window, reach, err := q.window(arg)
	out := value{}
	for _, s := range window {
		if v, ok := f(s.points, reach); ok {
			out.samples = append(out.samples, Sample{s.labels.only(unnamed), v})
		}
	}
	return out, err
}

// bucket is one bucket of a histogram: how many are at most le.
type bucket struct{ le, count float64 }

func (q *query) quantile(e *metricsql.FuncExpr) (value, error) {
	want, ok := e.Args[0].(*metricsql.NumberExpr)
	if !ok {
		return value{}, fmt.Errorf("%s is no number", e.Args[0].AppendString(nil))
	}
	in, err := q.eval(e.Args[1])
	if err != nil {
		return value{}, err
	}
	rest := func(label string) bool { return label != "le" && label != nameLabel }
	labels, buckets := map[string]Labels{}, map[string][]bucket{}
	for _, s := range in.samples {
		le, err := strconv.ParseFloat(s.Labels["le"], 64)
		if err != nil {
			return value{}, fmt.Errorf("%s has no buckets: %w", e.Args[1].AppendString(nil), err)
		}
		k := s.Labels.key(rest)
		labels[k], buckets[k] = s.Labels.only(rest), append(buckets[k], bucket{le, s.Value})
	}
	out := value{}
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		out.samples = append(out.samples, Sample{labels[k], quantileOf(want.N, buckets[k])})
	}
	return out, nil
}

// quantileOf interpolates within the bucket that holds the quantile. It is NaN where
// nothing was counted.
func quantileOf(want float64, b []bucket) float64 {
	slices.SortFunc(b, func(x, y bucket) int {
		if x.le < y.le {
			return -1
		}
		return 1
	})
	total := b[len(b)-1].count
	if total == 0 || !math.IsInf(b[len(b)-1].le, 1) {
		return math.NaN()
	}
	rank := want * total
	i := slices.IndexFunc(b, func(x bucket) bool { return x.count >= rank })
	if i == len(b)-1 {
		return b[max(0, i-1)].le
	}
	low, below := 0.0, 0.0
	if i > 0 {
		low, below = b[i-1].le, b[i-1].count
	}
	return low + (b[i].le-low)*(rank-below)/(b[i].count-below)
}
