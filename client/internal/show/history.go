package show

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// History writes the cluster's history, oldest event first.
func History(w io.Writer, h wire.History) error {
	t := newTable(w, "TIME", "KIND", "EPOCH", "NODE", "DETAIL")
	for _, e := range h.Events {
		epoch := ""
		if e.Epoch > 0 {
			epoch = num(e.Epoch)
		}
		t.row(e.At.UTC().Format("2006-01-02 15:04:05.000Z"), e.Kind, epoch, e.Node, e.Detail+timeline(e))
	}
	return t.end()
}

// timeline lists the steps of a failover in the order in which they happened.
func timeline(e protocol.HistoryEvent) string {
	if len(e.TimelineMS) == 0 {
		return ""
	}
	steps := slices.SortedFunc(maps.Keys(e.TimelineMS), func(a, b string) int {
		return cmp.Or(cmp.Compare(e.TimelineMS[a], e.TimelineMS[b]), cmp.Compare(a, b))
	})
	for i, step := range steps {
		steps[i] = fmt.Sprintf("%s %.0f ms", step, e.TimelineMS[step])
	}
	return " (" + strings.Join(steps, ", ") + ")"
}
