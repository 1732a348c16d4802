package protocol_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A mutant is one safety rule taken out of the source. The simulation must find
// every one: a checker that finds nothing proves nothing.
type mutant struct {
	rule  string
	edits []edit
}

// edit replaces one place of a source file. The place must be there exactly once,
// so that a mutant cannot go stale unseen.
type edit struct{ file, old, new string }

const (
	envMutants = "UNDERSTUDY_MUTANTS" // set: run them; they take minutes
	// mutantSeeds bounds how many worlds a mutant may survive.
	mutantSeeds = "5000"
)

func mutants() []mutant {
	one := func(rule, file, old, now string) mutant { return mutant{rule, []edit{{file, old, now}}} }
	const versionOfChange = "func (g Registry) changeInSync(c ChangeInSync, at time.Time) (Registry, *Refusal) {\n\tr, no := g.checkVersion(c.Group, c.Version)"
	const versionOfPromote = "func (g Registry) promote(c Promote, at time.Time) (Registry, *Refusal) {\n\tr, no := g.checkVersion(c.Group, c.Version)"
	const outside = "case !birth && !r.IsInSync(c.Primary.UUID):"
	return []mutant{
		one("a removed standby counts until a record says so", "reign.go",
			"if r.record.IsInSync(u) {\n\t\treturn true\n\t}",
			"if r.record.IsInSync(u) && (r.reign.asked.version != r.record.Version || slices.Contains(r.reign.asked.set, u)) {\n\t\treturn true\n\t}"),
		one("the view counts a standby before the registry is asked to add it", "insync.go",
			"g.asked.added = append(g.asked.added, u)", "_ = u"),
		one("a pending addition stays in the view", "reign.go",
			"return r.reign.asked.version == r.record.Version && slices.Contains(r.reign.asked.added, u)", "return false"),
		one("an addition that was given up stays in the view until a newer record", "insync.go",
			"\tif !outstanding {\n\t\tg.asked = asked{version: r.record.Version}\n\t}", "\tg.asked = asked{version: r.record.Version}"),
		one("ChangeInSync names the version it was decided on", "registry.go", versionOfChange,
			strings.Replace(versionOfChange, "g.checkVersion(c.Group, c.Version)", "g.checkVersion(c.Group, g.Groups[c.Group].Version)", 1)),
		{"Promote takes only a replica of the in-sync set", []edit{
			{"registry.go", outside, "case !birth && !r.IsMember(c.Primary.UUID):"},
			{"candidate.go", "for _, u := range s.rec.InSync {", "for _, u := range s.rec.Members {"},
		}},
		{"Promote is judged on the set that it is applied to", []edit{
			{"registry.go", versionOfPromote, strings.Replace(versionOfPromote, "g.checkVersion(c.Group, c.Version)", "g.checkVersion(c.Group, g.Groups[c.Group].Version)", 1)},
			{"registry.go", outside, "case false:"},
		}},
		one("Promote leaves the in-sync set as it is", "registry.go",
			"\tr.Primary = c.Primary\n\tr.Down", "\tr.InSync = slices.DeleteFunc(r.InSync, func(u UUID) bool { return u == r.Primary.UUID && u != c.Primary.UUID })\n\tr.Primary = c.Primary\n\tr.Down"),
		one("nothing is answered before the epoch-start is committed", "reign.go",
			"if !r.reign.serving && r.commit >= r.reign.start {", "if !r.reign.serving {"),
		one("only what is acknowledged after the handshake of this epoch counts", "reign.go",
			"p.conn, p.durable, p.ever, p.trouble = conn, 0, true, \"\"", "p.conn, p.durable, p.ever, p.trouble = conn, min(h.Last, r.last.Seq), true, \"\""),
		one("an older record is not taken", "replica.go", "rec.Version <= r.record.Version || rec.Epoch < r.accepted", "rec.Version == r.record.Version"),
		one("an epoch belongs to one boot", "replica.go",
			"case r.record.Primary == r.me && r.last.Epoch < r.record.Epoch:", "case r.record.Primary.UUID == r.me.UUID:"),
		one("a name is not a replica", "registry.go",
			"\t\t\tr.Members[i] = now\n", "\t\t\tr.Members[i] = now\n\t\t\tif j := slices.Index(r.InSync, old); j >= 0 {\n\t\t\t\tr.InSync[j] = now\n\t\t\t}\n"),
		one("the answer to a handshake belongs to its connection", "follow.go",
			"func (r *Replica) Welcomed(conn ConnID, epoch Epoch, part Seq) error {\n\tif err := r.current(conn, epoch); err != nil {",
			"func (r *Replica) Welcomed(conn ConnID, epoch Epoch, part Seq) error {\n\tif err := r.current(conn, epoch); err != nil && r.phase != phaseFollowing {"),
		one("histories part by their epochs", "replica.go",
			"func Part(a []Boundary, aLast Seq, b []Boundary, bLast Seq) Seq {", "func Part(a []Boundary, aLast Seq, b []Boundary, bLast Seq) Seq {\n\tif len(a) > 0 {\n\t\treturn min(aLast, bLast)\n\t}"),
		one("a standby holds everything committed before it is added", "insync.go",
			"if p.durable >= r.commit && p.durable >= r.reign.start {", "if p.durable >= r.reign.start {"),
		{"a standby is added only once it holds the epoch-start", []edit{
			{"insync.go", "if p.durable >= r.commit && p.durable >= r.reign.start {", "if p.durable >= r.commit {"},
			{"insync.go", "if !r.reign.serving || p.conn == 0", "if p.conn == 0"},
		}},
		one("the commit seq is the lowest of the whole view", "reign.go", "\t\t\tlow = min(low, p.durable)\n\t\t}\n\t}\n\tfor _, u", "\t\t\tlow = max(low, p.durable)\n\t\t}\n\t}\n\tfor _, u"),
		one("a standby commits only what equals the primary's history", "follow.go",
			"min(r.follow.leaderCommit, r.durable, r.follow.matched)", "min(r.follow.leaderCommit, r.durable)"),
		one("a standby commits only what its disk holds", "follow.go",
			"min(r.follow.leaderCommit, r.durable, r.follow.matched)", "min(r.follow.leaderCommit, r.last.Seq)"),
		one("a read waits for a confirm that is sent after it arrived", "confirm.go",
			"g.rounds.wanted = true\n\treturn g.confirm + 1", "return g.rounds.flying"),
		one("a read at a primary with standbys waits for a confirm", "confirm.go",
			"if g.rounds.flying == 0 {", "if g.rounds.flying == 0 {\n\t\treturn 0"),
		one("a standby that is being added must confirm", "confirm.go", "if r.InView(u) {", "if r.record.IsInSync(u) {"),
		one("a primary is alone only without anybody being added", "confirm.go", "r.Copies() == 1", "len(r.record.InSync) == 1"),
		one("a confirm is answered by the epoch that the node accepts", "follow.go",
			"func (r *Replica) Accepts(conn ConnID, epoch Epoch) error {\n\tif err := r.current(conn, epoch); err != nil {",
			"func (r *Replica) Accepts(conn ConnID, epoch Epoch) error {\n\tif r.phase == phaseReigning {\n\t\treturn nil\n\t}\n\tif err := r.current(conn, epoch); err != nil {"),
		one("every change of a record raises its version", "registry.go",
			"r.Version = g.Groups[id].Version + 1", "r.Version = max(1, g.Groups[id].Version)"),
	}
}

var (
	caughtBy   = regexp.MustCompile(`seed (\d+): (.*) \(run it alone`)
	worldsText = regexp.MustCompile(`caught in world (\d+), after (\d+) steps`)
)

// TestMutantsAreCaught builds the package once for each mutant, with the changed
// files in the place of the real ones, and expects the simulation to fail.
func TestMutantsAreCaught(t *testing.T) {
	if os.Getenv(envMutants) == "" {
		t.Skipf("set %s=1 to run the simulation against every mutant: it takes minutes", envMutants)
	}
	for _, m := range mutants() {
		t.Run(m.rule, func(t *testing.T) {
			out, err := m.run(t, "^TestSimulation$", envSeeds+"="+mutantSeeds)
			require.Error(t, err, "the mutant survived:\n%s", tail(out))
			found := caughtBy.FindStringSubmatch(out)
			require.NotNil(t, found, "the mutant ended otherwise than by a finding:\n%s", tail(out))
			if steps := worldsText.FindString(out); steps != "" {
				t.Logf("%s: %s", steps, found[2])
			}
		})
	}
}

// run builds the package with the mutant in it, and runs the tests of a pattern
// with something more in the environment.
func (m mutant) run(t *testing.T, pattern, env string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for _, e := range m.edits {
		path, err := filepath.Abs(e.file)
		require.NoError(t, err)
		source := path
		if earlier, ok := replace[path]; ok {
			source = earlier
		}
		text, err := os.ReadFile(source)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(text), e.old), "%s holds this exactly once:\n%s", e.file, e.old)
		replace[path] = filepath.Join(dir, e.file)
		require.NoError(t, os.WriteFile(replace[path], []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	file := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(file, overlay, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-overlay", file, "-run", pattern, "-count=1", "-vet=off", ".")
	cmd.Env = append(os.Environ(), env, envMutants+"=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// tail is the end of an output, for a message.
func tail(out string) string { return out[max(0, len(out)-4000):] }
