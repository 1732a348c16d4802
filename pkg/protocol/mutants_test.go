package protocol_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/mutant"
	"understudy.example/pkg/mutant/mutanttest"
)

// mutantSeeds bounds how many worlds a mutant may survive.
const mutantSeeds = "5000"

// mutants lists the safety rules of the core. The simulation and the exploration
// must find every one that is taken out.
func mutants() []mutant.Mutant {
	const versionOfChange = "func (g Registry) changeInSync(c ChangeInSync, at time.Time) (Registry, *Refusal) {\n\tr, no := g.checkVersion(c.Group, c.Version)"
	const versionOfPromote = "func (g Registry) promote(c Promote, at time.Time) (Registry, *Refusal) {\n\tr, no := g.checkVersion(c.Group, c.Version)"
	const outside = "case !birth && !r.IsInSync(c.Primary.UUID):"
	return []mutant.Mutant{
		mutant.One("a removed standby counts until a record says so", "reign.go",
			"if r.record.IsInSync(u) {\n\t\treturn true\n\t}",
			"if r.record.IsInSync(u) && (r.reign.asked.version != r.record.Version || slices.Contains(r.reign.asked.set, u)) {\n\t\treturn true\n\t}"),
		mutant.One("the view counts a standby before the registry is asked to add it", "insync.go",
			"g.asked.added = append(g.asked.added, u)", "_ = u"),
		mutant.One("a pending addition stays in the view", "reign.go",
			"return r.reign.asked.version == r.record.Version && slices.Contains(r.reign.asked.added, u)", "return false"),
		mutant.One("an addition that was given up stays in the view until a newer record", "insync.go",
			"\tif !outstanding {\n\t\tg.asked = asked{version: r.record.Version}\n\t}", "\tg.asked = asked{version: r.record.Version}"),
		mutant.One("ChangeInSync names the version it was decided on", "registry.go", versionOfChange,
			strings.Replace(versionOfChange, "g.checkVersion(c.Group, c.Version)", "g.checkVersion(c.Group, g.Groups[c.Group].Version)", 1)),
		{Rule: "Promote takes only a replica of the in-sync set", Edits: []mutant.Edit{
			{File: "registry.go", Old: outside, New: "case !birth && !r.IsMember(c.Primary.UUID):"},
			{File: "candidate.go", Old: "for _, u := range s.rec.InSync {", New: "for _, u := range s.rec.Members {"},
		}},
		{Rule: "Promote is judged on the set that it is applied to", Edits: []mutant.Edit{
			{File: "registry.go", Old: versionOfPromote, New: strings.Replace(versionOfPromote, "g.checkVersion(c.Group, c.Version)", "g.checkVersion(c.Group, g.Groups[c.Group].Version)", 1)},
			{File: "registry.go", Old: outside, New: "case false:"},
		}},
		mutant.One("Promote leaves the in-sync set as it is", "registry.go",
			"\tr.Primary = c.Primary\n\tr.Down", "\tr.InSync = slices.DeleteFunc(r.InSync, func(u UUID) bool { return u == r.Primary.UUID && u != c.Primary.UUID })\n\tr.Primary = c.Primary\n\tr.Down"),
		mutant.One("nothing is answered before the epoch-start is committed", "reign.go",
			"if !r.reign.serving && r.commit >= r.reign.start {", "if !r.reign.serving {"),
		mutant.One("only what is acknowledged after the handshake of this epoch counts", "reign.go",
			"p.conn, p.durable, p.ever, p.trouble = conn, 0, true, \"\"", "p.conn, p.durable, p.ever, p.trouble = conn, min(h.Last, r.last.Seq), true, \"\""),
		mutant.One("an older record is not taken", "replica.go", "rec.Version <= r.record.Version || rec.Epoch < r.accepted", "rec.Version == r.record.Version"),
		mutant.One("an epoch belongs to one boot", "replica.go",
			"case r.record.Primary == r.me && r.last.Epoch < r.record.Epoch:", "case r.record.Primary.UUID == r.me.UUID:"),
		mutant.One("a name is not a replica", "registry.go",
			"\t\t\tr.Members[i] = now\n\t\t}\n", "\t\t\tr.Members[i] = now\n\t\t}\n\t\tif j := slices.Index(r.InSync, old); i >= 0 && j >= 0 {\n\t\t\tr.InSync[j] = now\n\t\t}\n"),
		mutant.One("the answer to a handshake belongs to its connection", "follow.go",
			"func (r *Replica) Welcomed(conn ConnID, epoch Epoch, part Seq) error {\n\tif err := r.current(conn, epoch); err != nil {",
			"func (r *Replica) Welcomed(conn ConnID, epoch Epoch, part Seq) error {\n\tif err := r.current(conn, epoch); err != nil && r.phase != phaseFollowing {"),
		mutant.One("histories part by their epochs", "replica.go",
			"func Part(a []Boundary, aLast Seq, b []Boundary, bLast Seq) Seq {", "func Part(a []Boundary, aLast Seq, b []Boundary, bLast Seq) Seq {\n\tif len(a) > 0 {\n\t\treturn min(aLast, bLast)\n\t}"),
		mutant.One("a standby holds everything committed before it is added", "insync.go",
			"if p.durable >= r.commit && p.durable >= r.reign.start {", "if p.durable >= r.reign.start {"),
		{Rule: "a standby is added only once it holds the epoch-start", Edits: []mutant.Edit{
			{File: "insync.go", Old: "if p.durable >= r.commit && p.durable >= r.reign.start {", New: "if p.durable >= r.commit {"},
			{File: "insync.go", Old: "if !r.reign.serving || p.conn == 0", New: "if p.conn == 0"},
		}},
		mutant.One("the commit seq is the lowest of the whole view", "reign.go", "\t\t\tlow = min(low, p.durable)\n\t\t}\n\t}\n\tfor _, u", "\t\t\tlow = max(low, p.durable)\n\t\t}\n\t}\n\tfor _, u"),
		mutant.One("a standby commits only what equals the primary's history", "follow.go",
			"min(r.follow.leaderCommit, r.durable, r.follow.matched)", "min(r.follow.leaderCommit, r.durable)"),
		mutant.One("a standby commits only what its disk holds", "follow.go",
			"min(r.follow.leaderCommit, r.durable, r.follow.matched)", "min(r.follow.leaderCommit, r.last.Seq)"),
		mutant.One("a read waits for a confirm that is sent after it arrived", "confirm.go",
			"g.rounds.wanted = true\n\treturn g.confirm + 1", "return g.rounds.flying"),
		mutant.One("a read at a primary with standbys waits for a confirm", "confirm.go",
			"if g.rounds.flying == 0 {", "if g.rounds.flying == 0 {\n\t\treturn 0"),
		mutant.One("a standby that is being added must confirm", "confirm.go", "if r.InView(u) {", "if r.record.IsInSync(u) {"),
		mutant.One("a primary is alone only without anybody being added", "confirm.go", "r.Copies() == 1", "len(r.record.InSync) == 1"),
		mutant.One("a confirm is answered by the epoch that the node accepts", "follow.go",
			"func (r *Replica) Accepts(conn ConnID, epoch Epoch) error {\n\tif err := r.current(conn, epoch); err != nil {",
			"func (r *Replica) Accepts(conn ConnID, epoch Epoch) error {\n\tif r.phase == phaseReigning {\n\t\treturn nil\n\t}\n\tif err := r.current(conn, epoch); err != nil {"),
		mutant.One("every change of a record raises its version", "registry.go",
			"r.Version = g.Groups[id].Version + 1", "r.Version = max(1, g.Groups[id].Version)"),
	}
}

var (
	caughtBy   = regexp.MustCompile(`seed (\d+): (.*) \(run it alone`)
	worldsText = regexp.MustCompile(`caught in world (\d+), after (\d+) steps`)
)

// TestMutants expects the simulation to fail with every mutant.
func TestMutants(t *testing.T) {
	trial := mutant.Trial{Package: ".", Tests: "^TestSimulation$", Env: []string{envSeeds + "=" + mutantSeeds}}
	mutanttest.Run(t, mutants(), trial, func(t *testing.T, r mutant.Result) {
		found := caughtBy.FindStringSubmatch(r.Output)
		require.NotNil(t, found, "the mutant ended otherwise than by a finding:\n%s", r.Tail())
		if steps := worldsText.FindString(r.Output); steps != "" {
			t.Logf("%s: %s", steps, found[2])
		}
	})
}
