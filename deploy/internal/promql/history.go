// Package promql evaluates the small part of PromQL that this project's rules and
// dashboard are written in, on samples that a test has scraped: so a test sees that
// an alert fires when it should, that it does not when it should not, and that each
// name in an expression is of something that there is. What it does not know it
// refuses. It is for tests.
//
// It differs from Prometheus in one thing: rates and increases are not extrapolated to
// the ends of their window.
package promql

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// nameLabel is the label that holds a metric's name.
const nameLabel = "__name__"

// Labels are the labels of a series, its name among them.
type Labels map[string]string

// key identifies the labels that are left of l when keep has chosen.
func (l Labels) key(keep func(label string) bool) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(l)) {
		if keep(name) {
			b.WriteString(name + "\xff" + l[name] + "\xff") // which no label holds
		}
	}
	return b.String()
}

func (l Labels) only(keep func(label string) bool) Labels {
	out := Labels{}
	for name, v := range l {
		if keep(name) {
			out[name] = v
		}
	}
	return out
}

// Sample is one value of one series.
type Sample struct {
	Labels Labels
	Value  float64
}

// History is what was scraped, at one moment after the other.
type History struct {
	ticks []tick
}

type tick struct {
	at      time.Time
	samples map[string][]Sample // by name
}

// Scrape begins a new moment, later than all before.
func (h *History) Scrape(at time.Time) {
	h.ticks = append(h.ticks, tick{at, map[string][]Sample{}})
}

// Add adds a sample to the newest moment.
func (h *History) Add(labels Labels, value float64) {
	name := labels[nameLabel]
	t := h.ticks[len(h.ticks)-1]
	t.samples[name] = append(t.samples[name], Sample{labels, value})
}

// AddText adds what a process has exported, with the labels of its target.
func (h *History) AddText(r io.Reader, target Labels) error {
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(r)
	if err != nil {
		return fmt.Errorf("parse the metrics of %v: %w", target, err)
	}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			h.addMetric(name, m, target)
		}
	}
	return nil
}

func (h *History) addMetric(name string, m *dto.Metric, target Labels) {
	add := func(suffix string, v float64, more ...string) {
		l := maps.Clone(target)
		for _, p := range m.GetLabel() {
			l[p.GetName()] = p.GetValue()
		}
		for i := 0; i+1 < len(more); i += 2 {
			l[more[i]] = more[i+1]
		}
		l[nameLabel] = name + suffix
		h.Add(l, v)
	}
	switch {
	case m.GetGauge() != nil:
		add("", m.GetGauge().GetValue())
	case m.GetCounter() != nil:
		add("", m.GetCounter().GetValue())
	case m.GetUntyped() != nil:
		add("", m.GetUntyped().GetValue())
	case m.GetSummary() != nil:
		add("_sum", m.GetSummary().GetSampleSum())
		add("_count", float64(m.GetSummary().GetSampleCount()))
	case m.GetHistogram() != nil:
		g := m.GetHistogram()
		add("_sum", g.GetSampleSum())
		add("_count", float64(g.GetSampleCount()))
		for _, b := range g.GetBucket() {
			add("_bucket", float64(b.GetCumulativeCount()), "le", fmt.Sprint(b.GetUpperBound()))
		}
	}
}

// Moments returns how many scrapes there are.
func (h *History) Moments() int { return len(h.ticks) }

// At returns the samples of a moment.
func (h *History) At(moment int) []Sample {
	var out []Sample
	for _, name := range slices.Sorted(maps.Keys(h.ticks[moment].samples)) {
		out = append(out, h.ticks[moment].samples[name]...)
	}
	return out
}

// labelsOf returns the labels that a metric has had; none: there was no such metric.
func (h *History) labelsOf(name string) map[string]bool {
	out := map[string]bool{}
	for _, t := range h.ticks {
		for _, s := range t.samples[name] {
			for label := range s.Labels {
				out[label] = true
			}
		}
	}
	return out
}
