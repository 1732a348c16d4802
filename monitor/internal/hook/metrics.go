package hook

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// The values of the labels.
const (
	hookCommand = "command"
	hookWebhook = "webhook"

	resultOK     = "ok"
	resultFailed = "failed"
)

// Metrics are what a monitor measures of its hooks.
type Metrics struct {
	events  *prometheus.CounterVec
	retries *prometheus.CounterVec
}

// NewMetrics registers the metrics of the hooks that there are.
func NewMetrics(reg prometheus.Registerer, command, webhook bool) (*Metrics, error) {
	m := &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "understudy_hook_events_total", Help: "Events that this monitor brought to a hook, or gave up, by result.",
		}, []string{"hook", "result"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "understudy_hook_retries_total", Help: "Attempts to bring an event to a hook after one that failed.",
		}, []string{"hook"}),
	}
	for hook, there := range map[string]bool{hookCommand: command, hookWebhook: webhook} {
		if there { // each has its counters from the beginning, so that the first event is a rise from 0
			m.events.WithLabelValues(hook, resultOK)
			m.events.WithLabelValues(hook, resultFailed)
			m.retries.WithLabelValues(hook)
		}
	}
	return m, errors.Join(reg.Register(m.events), reg.Register(m.retries))
}

func (m *Metrics) told(hook string)    { m.events.WithLabelValues(hook, resultOK).Inc() }
func (m *Metrics) givenUp(hook string) { m.events.WithLabelValues(hook, resultFailed).Inc() }
func (m *Metrics) again(hook string)   { m.retries.WithLabelValues(hook).Inc() }
