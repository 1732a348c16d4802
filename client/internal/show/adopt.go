package show

import (
	"fmt"
	"io"
	"time"

	"understudy.example/pkg/wire"
)

// Adopted writes what became of a registry that was rebuilt from the nodes.
func Adopted(w io.Writer, a wire.Adopted) error {
	if err := Witnesses(w, a.Heard); err != nil {
		return err
	}
	fmt.Fprintf(w, "the registry is that of cluster %s again\n", a.Cluster) // the last line reports
	for _, g := range a.Groups {
		fmt.Fprintf(w, "%s is the primary of group %d in epoch %d, version %d\n", a.Node, g.Group, g.Epoch, g.Version)
	}
	if !a.Serving {
		fmt.Fprintln(w, "it does not serve yet: -status tells how things stand")
	}
	text := "nothing acknowledged is lost"
	if a.Loss != "" {
		text = "acknowledged writes may be lost: " + a.Loss
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// Witnesses writes what every node said last.
func Witnesses(w io.Writer, heard []wire.Witness) error {
	t := newTable(w, "HEARD", "STATE", "EPOCH", "VERSION", "POSITION", "SERVING", "HEARD BEFORE", "CLUSTER", "ADDRESS")
	for _, n := range heard {
		ago := time.Duration(n.AgoMS) * time.Millisecond
		state := string(n.State)
		if !n.There {
			ago, state = ago.Round(time.Second), "gone"
		}
		if len(n.Groups) == 0 {
			t.row(n.Name, state, "", "", "", "", ago.String(), n.Cluster, n.Address)
		}
		for _, g := range n.Groups {
			t.row(n.Name, state, num(g.Epoch), num(g.Version), g.Position.String(), yesNo(g.Serving && n.There), ago.String(), n.Cluster, n.Address)
		}
	}
	if err := t.end(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// refused tells of the nodes that the monitor hears and has no part for.
func refused(w io.Writer, c wire.Cluster) error {
	if len(c.Refused) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w, "NODES THAT ARE REFUSED (if the registry was lost, -adopt NODE -reason TEXT rebuilds it from them)"); err != nil {
		return err
	}
	return Witnesses(w, c.Refused)
}
