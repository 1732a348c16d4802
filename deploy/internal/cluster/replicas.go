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

// WaitQuiet waits until the cluster is ready and all copies are at one position,
// everything of it committed. Nobody may write meanwhile.
func (c *Cluster) WaitQuiet(ctx context.Context) error {
	return c.await(ctx, "the replicas do not agree", c.differ)
}

// WaitWell waits until nothing ails the cluster, see [Ailment].
func (c *Cluster) WaitWell(ctx context.Context) error {
	return c.await(ctx, "the cluster is not well", func(ctx context.Context) (string, error) {
		view, err := c.View(ctx)
		return Ailment(view, c.opts.WantCopies), err
	})
}

// await waits until the cluster is ready, and nothing keeps it from more than that.
func (c *Cluster) await(ctx context.Context, otherwise string, obstacle func(context.Context) (string, error)) error {
	for {
		if err := c.WaitReady(ctx); err != nil {
			return err
		}
		what, err := obstacle(ctx)
		if err == nil && what == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", otherwise, cmp.Or(err, errors.New(what)))
		case <-time.After(readyPoll):
		}
	}
}

// holders returns the names of the nodes whose copies are in sync.
func (c *Cluster) holders(ctx context.Context) ([]string, error) {
	view, err := c.View(ctx)
	if err != nil || len(view.Groups) == 0 {
		return nil, cmp.Or(err, errors.New("no node has joined yet"))
	}
	return view.Groups[0].InSync, nil
}

// differ says how the positions of the copies differ, or "".
func (c *Cluster) differ(ctx context.Context) (string, error) {
	holders, err := c.holders(ctx)
	if err != nil {
		return "", err
	}
	var at []protocol.Position
	for _, name := range holders {
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

// Agreed reads every copy that is in sync and returns it. The error says where they
// differ.
func (c *Cluster) Agreed(ctx context.Context) ([]wire.Item, error) {
	holders, err := c.holders(ctx)
	if err != nil {
		return nil, err
	}
	var first []wire.Item
	for i, name := range holders {
		items, err := c.Items(ctx, name)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = items
			continue
		}
		if d := difference(first, items); d != "" {
			return nil, fmt.Errorf("%s and %s differ: %s", holders[0], name, d)
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
