package promql

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/VictoriaMetrics/metricsql"
)

// Eval returns the value of an expression at a moment of the history: a vector, or
// one sample without labels for a scalar.
func (h *History) Eval(expr string, moment int) ([]Sample, error) {
	parsed, err := metricsql.Parse(expr)
	if err != nil {
		return nil, fmt.Errorf("parse %q: %w", expr, err)
	}
	out, err := (&query{h, moment}).eval(parsed)
	if err != nil {
		return nil, fmt.Errorf("evaluate %q: %w", expr, err)
	}
	return out.samples, nil
}

// value is a vector, or a scalar.
type value struct {
	samples []Sample
	scalar  bool
}

func number(v float64) value { return value{[]Sample{{Labels{}, v}}, true} }

// query is an evaluation at one moment.
type query struct {
	*History
	moment int
}

func (q *query) eval(e metricsql.Expr) (value, error) {
	switch e := e.(type) {
	case *metricsql.NumberExpr:
		return number(e.N), nil
	case *metricsql.MetricExpr:
		return q.selected(e, q.moment)
	case *metricsql.FuncExpr:
		return q.call(e)
	case *metricsql.AggrFuncExpr:
		return q.aggregate(e)
	case *metricsql.BinaryOpExpr:
		return q.binary(e)
	}
	return value{}, fmt.Errorf("%s is not known here: a %T", e.AppendString(nil), e)
}

// selected returns the samples that a selector chooses at a moment.
func (q *query) selected(e *metricsql.MetricExpr, moment int) (value, error) {
	name, filters, err := filtersOf(e)
	if err != nil {
		return value{}, err
	}
	var out value
	for _, s := range q.ticks[moment].samples[name] {
		if !slices.ContainsFunc(filters, func(f filter) bool { return !f.takes(s.Labels) }) {
			out.samples = append(out.samples, s)
		}
	}
	return out, nil
}

// filter is a condition on one label.
type filter struct {
	label    string
	value    *regexp.Regexp
	negative bool
}

func (f filter) takes(l Labels) bool { return f.value.MatchString(l[f.label]) != f.negative }

// filtersOf returns the name that a selector asks for, and its other conditions.
func filtersOf(e *metricsql.MetricExpr) (name string, filters []filter, err error) {
	if len(e.LabelFilterss) != 1 {
		return "", nil, fmt.Errorf("%s has alternatives, which Prometheus does not know", e.AppendString(nil))
	}
	for _, f := range e.LabelFilterss[0] {
		if f.Label == nameLabel && !f.IsNegative && !f.IsRegexp {
			name = f.Value
			continue
		}
		text := f.Value
		if !f.IsRegexp {
			text = regexp.QuoteMeta(text)
		}
		r, err := regexp.Compile("^(?:" + text + ")$")
		if err != nil {
			return "", nil, err
		}
		filters = append(filters, filter{f.Label, r, f.IsNegative})
	}
	if name == "" {
		return "", nil, fmt.Errorf("%s has no name", e.AppendString(nil))
	}
	return name, filters, nil
}

// series is what one series has been over a window.
type series struct {
	labels Labels
	points []point
}

type point struct {
	at time.Time
	v  float64
}

// window returns the series that a range selects, oldest point first, and how far it
// reaches back.
func (q *query) window(e metricsql.Expr) (in []*series, reach time.Duration, err error) {
	roll, ok := e.(*metricsql.RollupExpr)
	if !ok || roll.Window == nil {
		return nil, 0, fmt.Errorf("%s has no window, as in x[5m]", e.AppendString(nil))
	}
	m, ok := roll.Expr.(*metricsql.MetricExpr)
	if !ok || roll.Offset != nil || roll.Step != nil || roll.At != nil || roll.InheritStep {
		return nil, 0, fmt.Errorf("%s is more than a selector and a window", e.AppendString(nil))
	}
	reach = time.Duration(roll.Window.Duration(0)) * time.Millisecond
	now := q.ticks[q.moment].at
	known := map[string]*series{}
	for i := range q.moment + 1 {
		if now.Sub(q.ticks[i].at) >= reach {
			continue
		}
		v, err := q.selected(m, i)
		if err != nil {
			return nil, 0, err
		}
		for _, s := range v.samples {
			k := s.Labels.key(all)
			if known[k] == nil {
				known[k] = &series{labels: s.Labels}
				in = append(in, known[k])
			}
			known[k].points = append(known[k].points, point{q.ticks[i].at, s.Value})
		}
	}
	return in, reach, nil
}

func all(string) bool { return true }

func unnamed(label string) bool { return label != nameLabel }
