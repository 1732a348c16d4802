package promql

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/VictoriaMetrics/metricsql"
)

func (q *query) aggregate(e *metricsql.AggrFuncExpr) (value, error) {
	folds := map[string]func(a, b float64) float64{
		"sum": func(a, b float64) float64 { return a + b }, "max": math.Max, "min": math.Min,
		"count": func(a, _ float64) float64 { return a + 1 },
	}
	f := folds[e.Name]
	if f == nil || len(e.Args) != 1 || e.Limit != 0 || e.Modifier.Op == "without" {
		return value{}, fmt.Errorf("%s is not known here", e.AppendString(nil))
	}
	in, err := q.eval(e.Args[0])
	if err != nil {
		return value{}, err
	}
	by := func(label string) bool { return slices.Contains(e.Modifier.Args, label) }
	groups := map[string]*Sample{}
	for _, s := range in.samples {
		k := s.Labels.key(by)
		switch g := groups[k]; {
		case g != nil:
			g.Value = f(g.Value, s.Value)
		case e.Name == "count":
			groups[k] = &Sample{s.Labels.only(by), 1}
		default:
			groups[k] = &Sample{s.Labels.only(by), s.Value}
		}
	}
	out := value{}
	for _, k := range slices.Sorted(maps.Keys(groups)) {
		out.samples = append(out.samples, *groups[k])
	}
	return out, nil
}

// arithmetic operators return a number, comparisons tell what stays.
var (
	arithmetic = map[string]func(a, b float64) float64{
		"+": func(a, b float64) float64 { return a + b }, "-": func(a, b float64) float64 { return a - b },
		"*": func(a, b float64) float64 { return a * b }, "/": func(a, b float64) float64 { return a / b },
	}
	comparison = map[string]func(a, b float64) bool{
		"==": func(a, b float64) bool { return a == b }, "!=": func(a, b float64) bool { return a != b },
		"<": func(a, b float64) bool { return a < b }, "<=": func(a, b float64) bool { return a <= b },
		">": func(a, b float64) bool { return a > b }, ">=": func(a, b float64) bool { return a >= b },
	}
)

func (q *query) binary(e *metricsql.BinaryOpExpr) (value, error) {
	left, err := q.eval(e.Left)
	if err != nil {
		return value{}, err
	}
	right, err := q.eval(e.Right)
	if err != nil {
		return value{}, err
	}
	if e.Op == "and" || e.Op == "or" || e.Op == "unless" {
		return set(e, left, right)
	}
	if e.Bool || arithmetic[e.Op] == nil && comparison[e.Op] == nil {
		return value{}, fmt.Errorf("the operator in %s is not known here", e.AppendString(nil))
	}
	return match(e, left, right)
}

// compute applies an operator to a pair. What a comparison leaves keeps its value
// and its name.
func compute(op string, l Labels, a, b float64) (Sample, bool) {
	if f := comparison[op]; f != nil {
		return Sample{l, a}, f(a, b)
	}
	return Sample{l.only(unnamed), arithmetic[op](a, b)}, true
}

// match pairs the samples of both sides by their labels.
func match(e *metricsql.BinaryOpExpr, left, right value) (value, error) {
	out := value{scalar: left.scalar && right.scalar}
	on := matching(e)
	partners := map[string]Sample{}
	for _, s := range right.samples {
		k := s.Labels.key(on)
		if _, twice := partners[k]; twice {
			return out, fmt.Errorf("%s: several samples on the right match {%s}", e.AppendString(nil), k)
		}
		partners[k] = s
	}
	many := e.JoinModifier.Op == "group_left"
	if e.JoinModifier.Op != "" && !many {
		return out, fmt.Errorf("%s is not known here", e.JoinModifier.Op)
	}
	seen := map[string]bool{}
	for _, s := range left.samples {
		partner, ok := partners[s.Labels.key(on)]
		labels := s.Labels
		switch {
		case right.scalar:
			partner, ok = right.samples[0], true
		case left.scalar:
			return out, fmt.Errorf("%s: write the number on the right", e.AppendString(nil))
		case ok && !many && seen[s.Labels.key(on)]:
			return out, fmt.Errorf("%s: several samples on the left match {%s}", e.AppendString(nil), s.Labels.key(on))
		case ok && !many && e.GroupModifier.Op == "on":
			labels = labels.only(on)
		case ok && !many:
			labels = labels.only(func(l string) bool { return !slices.Contains(e.GroupModifier.Args, l) })
		case ok:
			labels = maps.Clone(labels)
			for _, name := range e.JoinModifier.Args {
				labels[name] = partner.Labels[name]
			}
		}
		seen[s.Labels.key(on)] = ok
		if !ok {
			continue
		}
		if made, stays := compute(e.Op, labels, s.Value, partner.Value); stays {
			out.samples = append(out.samples, made)
		}
	}
	return out, nil
}

// set keeps or drops whole samples.
func set(e *metricsql.BinaryOpExpr, left, right value) (value, error) {
	if left.scalar || right.scalar {
		return value{}, fmt.Errorf("%s: a number has no labels", e.AppendString(nil))
	}
	on := matching(e)
	has := func(v value, s Sample) bool {
		return slices.ContainsFunc(v.samples, func(o Sample) bool { return o.Labels.key(on) == s.Labels.key(on) })
	}
	out := value{}
	for _, s := range left.samples {
		if e.Op == "or" || has(right, s) == (e.Op == "and") {
			out.samples = append(out.samples, s)
		}
	}
	if e.Op == "or" {
		for _, s := range right.samples {
			if !has(left, s) {
				out.samples = append(out.samples, s)
			}
		}
	}
	return out, nil
}

// matching tells which labels have to be equal on both sides.
func matching(e *metricsql.BinaryOpExpr) func(string) bool {
	listed := func(label string) bool { return slices.Contains(e.GroupModifier.Args, label) }
	switch e.GroupModifier.Op {
	case "on":
		return listed
	case "ignoring":
		return func(label string) bool { return unnamed(label) && !listed(label) }
	}
	return unnamed
}
