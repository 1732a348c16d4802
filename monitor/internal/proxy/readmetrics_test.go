package proxy

import (
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/wire"
)

func TestNothingIsKeptOfRemovedNodes(t *testing.T) {
	reg, nodes := prometheus.NewRegistry(), []string{"app1", "app2"}
	m := newReadMetrics(reg, func() []string { return nodes })
	m.count(http.Header{wire.HeaderNode: {"app1"}})
	m.count(http.Header{wire.HeaderNode: {"app2"}})
	m.again("app2")
	count := func() int {
		n, err := testutil.GatherAndCount(reg, "understudy_proxy_reads_total", "understudy_proxy_reads_resent_total")
		require.NoError(t, err)
		return n
	}
	require.Equal(t, 3, count())
	nodes = []string{"app1"}
	require.Equal(t, 1, count())
	require.InDelta(t, 1, testutil.ToFloat64(m.reads.WithLabelValues("app1")), 0)
}
