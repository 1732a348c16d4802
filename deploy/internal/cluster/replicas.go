package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// get reads JSON. Header is for the request.
func (c *Cluster) get(ctx context.Context, address string, header map[string]string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", address, res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", address, err)
	}
	return nil
}

// Heartbeat asks the named node for its word on itself.
func (c *Cluster) Heartbeat(ctx context.Context, name string) (hb wire.Heartbeat, err error) {
	err = c.get(ctx, c.Node(name)+wire.PathProbe, nil, &hb)
	return hb, err
}

// Items reads all keys of the named node's own copy, as it is.
func (c *Cluster) Items(ctx context.Context, name string) (all []wire.Item, err error) {
	for after := ""; ; {
		var page wire.Page
		query := url.Values{"limit": {"1000"}, "after": {after}}
		if err := c.get(ctx, c.Node(name)+"/v1/kv?"+query.Encode(), map[string]string{wire.HeaderConsistency: wire.Stale}, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if after = page.Next; after == "" {
			return all, nil
		}
	}
}

// Nodes returns the names of all nodes.
func (c *Cluster) Nodes() []string {
	var names []string
	for _, p := range c.processes {
		if p.role == RoleNode {
			names = append(names, p.name)
		}
	}
	return names
}

// WaitQuiet waits until the cluster is ready and all its nodes are at one
// position, everything of it committed. Nobody may write meanwhile.
func (c *Cluster) WaitQuiet(ctx context.Context) error {
	for {
		if err := c.WaitReady(ctx); err != nil {
			return err
		}
		differ, err := c.differ(ctx)
		if err == nil && differ == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the replicas do not agree: %w", cmp.Or(err, errors.New(differ)))
		case <-time.After(readyPoll):
		}
	}
}

// differ says how the nodes' positions differ, or "".
func (c *Cluster) differ(ctx context.Context) (string, error) {
	var at []protocol.Position
	for _, name := range c.Nodes() {
		hb, err := c.Heartbeat(ctx, name)
		if err != nil {
			return "", err
		}
		if len(hb.Groups) != 1 {
			return name + " has no group", nil
		}
		g := hb.Groups[0]
		if g.Commit != g.Position.Seq {
			return fmt.Sprintf("%s is at %s and has committed up to %d", name, g.Position, g.Commit), nil
		}
		at = append(at, g.Position)
	}
	if len(slices.Compact(slices.Clone(at))) > 1 {
		return fmt.Sprintf("their positions are %v", at), nil
	}
	return "", nil
}

// Agreed reads every node's own copy and returns it. The error says where they
// differ.
func (c *Cluster) Agreed(ctx context.Context) ([]wire.Item, error) {
	var first []wire.Item
	for i, name := range c.Nodes() {
		items, err := c.Items(ctx, name)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = items
			continue
		}
		if d := difference(first, items); d != "" {
			return nil, fmt.Errorf("%s and %s differ: %s", c.Nodes()[0], name, d)
		}
	}
	return first, nil
}

// difference describes the first difference of two sorted lists, or is "".
func difference(a, b []wire.Item) string {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return fmt.Sprintf("only the second has %q", b[i].Key)
		case i >= len(b):
			return fmt.Sprintf("only the first has %q", a[i].Key)
		case a[i].Key != b[i].Key || a[i].ETag != b[i].ETag || text(a[i].Value) != text(b[i].Value) || text(a[i].Base64) != text(b[i].Base64):
			return fmt.Sprintf("%q at %s, %q at %s", a[i].Key, a[i].ETag, b[i].Key, b[i].ETag)
		}
	}
	return ""
}

// text tells a value that is not set from an empty one.
func text(s *string) string {
	if s == nil {
		return "none"
	}
	return "=" + *s
}
