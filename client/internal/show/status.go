package show

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// Status writes the state of the cluster.
func Status(w io.Writer, c wire.Cluster) error {
	_, err := fmt.Fprintf(w, "cluster %s, led by %s (term %d)\n\n", orNone(c.Cluster), orNone(c.Leader), c.Term)
	if err != nil {
		return err
	}
	for _, part := range []func(io.Writer, wire.Cluster) error{groups, reads, nodes, differences, refused, monitors} {
		if err := part(w, c); err != nil {
			return err
		}
	}
	return nil
}

func groups(w io.Writer, c wire.Cluster) error {
	t := newTable(w, "GROUP", "EPOCH", "VERSION", "PRIMARY", "SERVING", "IN SYNC", "FAILOVER")
	for _, g := range c.Groups {
		t.row(num(g.Group), num(g.Epoch), num(g.Version), g.Primary, yesNo(g.Serving), strings.Join(g.InSync, ", "), Failover(g.Failover))
	}
	if err := t.end(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// reads tells that reads go to all, where they do.
func reads(w io.Writer, c wire.Cluster) error {
	if c.Settings.Reads != protocol.ReadsSpread {
		return nil
	}
	_, err := fmt.Fprint(w, "reads through a monitor are answered by every replica in sync, in turn\n\n")
	return err
}

// Failover says in a few words whether a failover is possible now.
func Failover(f wire.FailoverView) string {
	if f.Possible {
		return "possible, to " + orNone(f.Candidate)
	}
	return "not possible: " + cmp.Or(f.Reason, "no reason given")
}

func nodes(w io.Writer, c wire.Cluster) error {
	t := newTable(w, "NODE", "GROUP", "ROLE", "STATE", "POSITION", "LAG", "HEARTBEAT", "ADDRESS")
	for _, n := range c.Nodes {
		state := string(n.State)
		if n.Maintenance && n.State != protocol.StateMaintenance {
			state += " (maintenance)"
		}
		if n.Removed {
			state += " (removed)"
		}
		if n.Disk.Full {
			state += " (disk full)"
		}
		if len(n.Groups) == 0 {
			t.row(n.Name, "", "", state, "", "", heartbeatAge(n.HeartbeatAgeMS), n.Address)
		}
		for _, g := range n.Groups {
			t.row(n.Name, num(g.Group), string(g.Role), state+chained(c, g), g.Position.String(), lag(g), heartbeatAge(n.HeartbeatAgeMS), n.Address)
		}
	}
	if err := t.end(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// chained tells which standby a standby takes its stream from; "" if it is the
// primary's own.
func chained(c wire.Cluster, g wire.NodeGroupView) string {
	for _, of := range c.Groups {
		if of.Group == g.Group && g.Upstream != "" && g.Upstream != of.Primary {
			return " (from " + g.Upstream + ")"
		}
	}
	return ""
}

// differences tells which node sees another one otherwise than the monitor does.
func differences(w io.Writer, c wire.Cluster) error {
	different := c.Differences()
	if len(different) == 0 {
		return nil
	}
	t := newTable(w, "VIEWS THAT DIFFER")
	for _, d := range different {
		if d.Sees == wire.SeesUp {
			t.row(fmt.Sprintf("%s reaches %s, and the monitor does not", d.By, d.Of))
		} else {
			t.row(fmt.Sprintf("%s does not reach %s, and the monitor does", d.By, d.Of))
		}
	}
	if err := t.end(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

func monitors(w io.Writer, c wire.Cluster) error {
	t := newTable(w, "MONITOR", "LEADER", "REACHABLE", "ADDRESS")
	for _, m := range c.Monitors {
		t.row(m.Name, yesNo(m.Leader), yesNo(m.Reachable), m.Address)
	}
	return t.end()
}

func lag(g wire.NodeGroupView) string {
	if g.LagRecords == 0 && g.CopiesBehindMS == 0 {
		return "0"
	}
	return fmt.Sprintf("%d records, %d ms", g.LagRecords, g.CopiesBehindMS)
}

func heartbeatAge(ms int64) string {
	if ms < 0 {
		return "not heard yet"
	}
	return (time.Duration(ms) * time.Millisecond).String()
}

func num[T ~uint32 | ~uint64](n T) string { return strconv.FormatUint(uint64(n), 10) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func orNone(s string) string { return cmp.Or(s, "(none)") }
