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
	text := steps(e.TimelineMS)
	if e.Held > 0 {
		text += fmt.Sprintf(", %d requests held", e.Held)
	}
	return text
}

func steps(ms map[string]float64) string {
	if len(ms) == 0 {
		return ""
	}
	names := slices.SortedFunc(maps.Keys(ms), func(a, b string) int {
		return cmp.Or(cmp.Compare(ms[a], ms[b]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %.0f ms", name, ms[name])
	}
	return " (" + strings.Join(names, ", ") + ")"
}
