package replica

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

func newTestMetrics(t *testing.T) *Metrics {
	t.Helper()
	m, err := NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	return m
}

func value(t *testing.T, want float64, c prometheus.Collector) {
	t.Helper()
	require.InDelta(t, want, testutil.ToFloat64(c), 0)
}

func TestTransfersAreMeasured(t *testing.T) {
	m := newTestMetrics(t)
	done := m.fetch()
	value(t, 1, m.fetching)
	_, err := io.Copy(io.Discard, countedReader{strings.NewReader("snapshot"), m.fetchBytes})
	require.NoError(t, err)
	done(nil)
	m.fetch()(errors.New("cut"))
	value(t, 0, m.fetching)
	value(t, 8, m.fetchBytes)
	value(t, 1, m.fetched.WithLabelValues(resultOK))
	value(t, 1, m.fetched.WithLabelValues(resultFailed))

	sent := m.send()
	value(t, 1, m.sending)
	_, err = io.WriteString(countedWriter{io.Discard, m.sentBytes}, "snap")
	require.NoError(t, err)
	sent(nil)
	m.send()(errors.New("cut"))
	value(t, 0, m.sending)
	value(t, 4, m.sentBytes)
	value(t, 1, m.sent.WithLabelValues(resultOK))
	value(t, 1, m.sent.WithLabelValues(resultFailed))

	m.wrote(time.Now(), nil)
	m.wrote(time.Now(), errors.New("full"))
	value(t, 1, m.written.WithLabelValues(resultOK))
	value(t, 1, m.written.WithLabelValues(resultFailed))
	require.Error(t, func() error { _, err := NewMetrics(registered(t)); return err }())
}

// registered is a registry that has the metrics already.
func registered(t *testing.T) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewRegistry()
	_, err := NewMetrics(reg)
	require.NoError(t, err)
	return reg
}

func TestRemovalsAreCountedByReason(t *testing.T) {
	before := protocol.GroupRecord{Version: 7, Epoch: 3, InSync: []protocol.UUID{"a", "b", "c"}}
	after := protocol.GroupRecord{Version: 8, Epoch: 3, InSync: []protocol.UUID{"a", "c"}}
	asked := protocol.ChangeInSync{Version: 7, Epoch: 3, Reason: "its answer is overdue"}
	for name, test := range map[string]struct {
		change func(asked *protocol.ChangeInSync, rec *protocol.GroupRecord)
		reason string
		count  float64
	}{
		"a reason of the core":         {func(*protocol.ChangeInSync, *protocol.GroupRecord) {}, "overdue", 1},
		"the standby's own":            {func(a *protocol.ChangeInSync, _ *protocol.GroupRecord) { a.Reason = "its disk has failed" }, otherReason, 1},
		"two at once":                  {func(_ *protocol.ChangeInSync, r *protocol.GroupRecord) { r.InSync = r.InSync[:1] }, "overdue", 2},
		"an addition":                  {func(_ *protocol.ChangeInSync, r *protocol.GroupRecord) { r.InSync = append(before.InSync, "d") }, "overdue", 0},
		"asked on another version":     {func(a *protocol.ChangeInSync, _ *protocol.GroupRecord) { a.Version = 6 }, "overdue", 0},
		"somebody else's later change": {func(_ *protocol.ChangeInSync, r *protocol.GroupRecord) { r.Version = 9 }, "overdue", 0},
		"a promotion":                  {func(_ *protocol.ChangeInSync, r *protocol.GroupRecord) { r.Epoch = 4 }, "overdue", 0},
	} {
		t.Run(name, func(t *testing.T) {
			m, a, r := newTestMetrics(t), asked, after
			test.change(&a, &r)
			m.removed(a, before, r)
			value(t, test.count, m.removals.WithLabelValues(test.reason))
		})
	}
}

// TestEveryReasonHasALabel reads the sentences out of the core's source.
func TestEveryReasonHasALabel(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../../pkg/protocol/insync.go", nil, 0)
	require.NoError(t, err)
	found := map[string]bool{}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "whyRemove" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && lit.Value != `""` {
				text, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				found[text] = true
				require.Contains(t, removalReason, text)
			}
			return true
		})
	}
	require.Len(t, found, len(removalReason))
}
