package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSightOfTheOldPrimary(t *testing.T) {
	for name, c := range map[string]struct {
		seen func(silence time.Duration) map[string]time.Duration
		says string
	}{
		"nothing is known":  {func(time.Duration) map[string]time.Duration { return nil }, "(primary-down)"},
		"another was heard": {func(time.Duration) map[string]time.Duration { return map[string]time.Duration{"C": 0} }, "(primary-down)"},
		"heard no longer":   {func(s time.Duration) map[string]time.Duration { return map[string]time.Duration{"A": s} }, "; B did not hear A any more either)"},
		"a little later":    {func(s time.Duration) map[string]time.Duration { return map[string]time.Duration{"A": max(0, s-200*ms)} }, "; B did not hear A any more either)"},
		"still heard":       {func(time.Duration) map[string]time.Duration { return map[string]time.Duration{"A": 0} }, "; B still heard A 500ms after this monitor did)"},
	} {
		t.Run(name, func(t *testing.T) {
			d := at(t, born(t, "A", "B").reg)
			d.passes(100 * ms)
			silent := d.now
			d.silent["A"] = true
			for range 10 {
				d.nodes["B"].Seen = c.seen(d.now.Add(100 * ms).Sub(silent))
				d.passes(100 * ms)
			}
			require.Contains(t, d.promotion().Reason, c.says)
		})
	}
}
