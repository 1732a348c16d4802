package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(registerer prometheus.Registerer, held func() int, bodies, watches func() int64) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "understudy_proxy_requests_total",
			Help: "Requests of the client API that this monitor answered, by operation and HTTP status.",
		}, []string{"op", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "understudy_proxy_request_duration_seconds",
			Help:    "Time from a request's arrival to the end of its answer, by operation.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 14), // 0.1 ms to 15 s
		}, []string{"op"}),
	}
	registerer.MustRegister(m.requests, m.duration,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "understudy_proxy_held_requests",
			Help: "Requests that wait at this monitor for a primary.",
		}, func() float64 { return float64(held()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "understudy_proxy_body_bytes",
			Help: "Bytes of the bodies of the requests under way at this monitor.",
		}, func() float64 { return float64(bodies()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "understudy_proxy_watchers",
			Help: "Watches of committed changes that are open at this monitor.",
		}, func() float64 { return float64(watches()) }),
	)
	return m
}

func (m *metrics) observe(op string, status int, took time.Duration) {
	m.requests.WithLabelValues(op, statusText(status)).Inc()
	m.duration.WithLabelValues(op).Observe(took.Seconds())
}

// statusText avoids an allocation for the statuses of ordinary answers.
func statusText(status int) string {
	switch status {
	case http.StatusOK:
		return "200"
	case http.StatusNoContent:
		return "204"
	}
	return strconv.Itoa(status)
}

// operation names what a request does, from a closed list.
func operation(r *http.Request) string {
	switch r.Method {
	case http.MethodPut:
		return "put"
	case http.MethodDelete:
		return "delete"
	case http.MethodPatch:
		return "patch"
	case http.MethodGet, http.MethodHead:
		return readOperation(r.URL.Path)
	}
	return "other"
}

func readOperation(path string) string {
	switch path {
	case statePath:
		return "state"
	case "/v1/kv", "/v1/kv/":
		return "list"
	case "/v1/watch":
		return "watch"
	}
	return "get"
}
