package show

import (
	"cmp"
	"fmt"
	"io"

	"understudy.example/pkg/wire"
)

// Explain writes who could take over, and what would happen if a primary died
// now.
func Explain(w io.Writer, e wire.Explain) error {
	if e.Paused {
		if _, err := fmt.Fprintln(w, "automatic failover is paused: -resume ends that"); err != nil {
			return err
		}
	}
	if len(e.Groups) == 0 {
		_, err := fmt.Fprintln(w, "there is no group yet: one is born when nodes are heard; -status shows who is, and who is refused and why")
		return err
	}
	for _, g := range e.Groups {
		if err := explanation(w, g); err != nil {
			return err
		}
	}
	return nil
}

func explanation(w io.Writer, g wire.Explanation) error {
	_, err := fmt.Fprintf(w, "group %d: primary %s; rule %s: %s, so: %s\n\nif %s died now:\n%s\n  lost: %s\n\n",
		g.Group, orNone(g.Primary), g.Rule, g.When, g.Does, cmp.Or(g.Primary, "the primary"), takeover(g.IfPrimaryDied), g.IfPrimaryDied.Loss)
	if err != nil {
		return err
	}
	t := newTable(w, "NODE", "IN SYNC", "CAN BE PROMOTED", "WHY NOT")
	for _, n := range g.Nodes {
		t.row(n.Name, yesNo(n.InSync), yesNo(n.CanBePromoted), n.Why)
	}
	return t.end()
}

func takeover(d wire.IfPrimaryDied) string {
	if d.Candidate == "" {
		return "  nobody would take over: " + cmp.Or(d.Reason, "no reason given")
	}
	return fmt.Sprintf("  %s would be promoted within %d ms of a crash, within %d ms of a silence", d.Candidate, d.CrashedMS, d.SilentMS)
}
