package protocol_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

// The rules are listed in ARCHITECTURE.md. UPDATE_RULES=1 writes them anew.
func TestRulesAreListedInArchitecture(t *testing.T) {
	const path = "../../ARCHITECTURE.md"
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	// There are other tables before.
	const begin = "| rule | when | then |\n|---|---|---|\n"
	head, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	_, tail, ok := strings.Cut(rest, "<!-- end of rules -->")
	require.True(t, ok)

	var table strings.Builder
	for _, r := range protocol.Rules() {
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", r.Name, r.When, r.Do)
	}
	want := head + begin + table.String() + "<!-- end of rules -->" + tail
	if os.Getenv("UPDATE_RULES") != "" {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(text), "run UPDATE_RULES=1 go test ./pkg/protocol")
}
