package promql

import (
	"fmt"
	"slices"

	"github.com/VictoriaMetrics/metricsql"
)

// Check returns what is wrong with the names in an expression: a metric that was
// never scraped, a label that none of its series has, and a selector that has never
// chosen anything.
func (h *History) Check(expr string) []string {
	parsed, err := metricsql.Parse(expr)
	if err != nil {
		return []string{err.Error()}
	}
	c := &check{History: h}
	c.walk(parsed)
	return c.wrong
}

type check struct {
	*History
	wrong []string
}

func (c *check) say(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

// walk returns the labels that the value of e may have.
func (c *check) walk(e metricsql.Expr) map[string]bool {
	labels := map[string]bool{}
	take := func(more map[string]bool) {
		for l := range more {
			labels[l] = true
		}
	}
	switch e := e.(type) {
	case *metricsql.MetricExpr:
		return c.selector(e)
	case *metricsql.RollupExpr:
		return c.walk(e.Expr)
	case *metricsql.FuncExpr:
		for _, a := range e.Args {
			take(c.walk(a))
		}
	case *metricsql.AggrFuncExpr:
		for _, a := range e.Args {
			take(c.walk(a))
		}
		c.listed(e, labels, e.Modifier.Args)
		for l := range labels {
			if !slices.Contains(e.Modifier.Args, l) {
				delete(labels, l)
			}
		}
	case *metricsql.BinaryOpExpr:
		left, right := c.walk(e.Left), c.walk(e.Right)
		c.listed(e, left, e.GroupModifier.Args)
		c.listed(e, right, slices.Concat(e.GroupModifier.Args, e.JoinModifier.Args))
		take(left)
		for _, l := range e.JoinModifier.Args {
			labels[l] = true
		}
		if e.Op == "or" {
			take(right)
		}
	}
	return labels
}

func (c *check) listed(e metricsql.Expr, have map[string]bool, names []string) {
	for _, l := range names {
		if !have[l] {
			c.say("%s: there is no label %q", e.AppendString(nil), l)
		}
	}
}

func (c *check) selector(e *metricsql.MetricExpr) map[string]bool {
	name, filters, err := filtersOf(e)
	if err != nil {
		c.say("%v", err)
		return nil
	}
	labels := c.labelsOf(name)
	if len(labels) == 0 {
		c.say("there is no metric %q", name)
		return nil
	}
	for _, f := range filters {
		if !labels[f.label] {
			c.say("%s: %s has no label %q", e.AppendString(nil), name, f.label)
		}
	}
	for i := range c.ticks {
		if v, err := (&query{c.History, i}).selected(e, i); err == nil && len(v.samples) > 0 {
			return labels
		}
	}
	c.say("%s has never chosen anything", e.AppendString(nil))
	return labels
}
