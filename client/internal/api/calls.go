package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

const (
	pathKeys    = "/v1/kv/"
	pathState   = "/v1/state"
	pathCluster = "/v1/cluster"
)

// Cluster reads the state of the cluster. A monitor without a leader, cut off or taken
// out, may know an old one: where others are named, one that has a leader is asked.
func (c *Client) Cluster(ctx context.Context) (wire.Cluster, error) {
	view, err := read[wire.Cluster](ctx, c, pathCluster)
	if err != nil || view.Leader != "" {
		return view, err
	}
	for i := range c.monitors {
		if answer, err := c.once(ctx, i, Request{Method: http.MethodGet, Path: pathCluster}); err == nil {
			if other, err := decode[wire.Cluster](answer); err == nil && other.Leader != "" {
				return other, nil
			}
		}
	}
	return view, nil
}

// History reads the cluster's history.
func (c *Client) History(ctx context.Context) (wire.History, error) {
	return read[wire.History](ctx, c, "/v1/history")
}

// Explain reads who could take over, and if nobody, why.
func (c *Client) Explain(ctx context.Context) (wire.Explain, error) {
	return read[wire.Explain](ctx, c, "/v1/explain")
}

// State reads the map of a replica: primary, standby, or a node's name.
func (c *Client) State(ctx context.Context, from string) (map[string]any, error) {
	return read[map[string]any](ctx, c, pathState+"?"+url.Values{"from": {from}}.Encode())
}

// Update sets all keys of changes or none, and returns the updated map. A
// request over limit bytes is refused before it is sent.
func (c *Client) Update(ctx context.Context, changes map[string]string, limit int) (map[string]any, error) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(changes); err != nil {
		return nil, fmt.Errorf("encode the update: %w", err)
	}
	if body.Len() > limit {
		return nil, problem.Errorf(problem.TooLarge, "the update has %d bytes as JSON: at most %d are possible; split it", body.Len(), limit)
	}
	answer, err := c.Do(ctx, Request{
		Method: http.MethodPatch, Path: pathState, Body: body.Bytes(),
		Header: map[string]string{"Content-Type": "application/merge-patch+json", wire.HeaderKey: rand.Text()},
	})
	if err != nil {
		return nil, err
	}
	return decode[map[string]any](answer)
}

// Get reads the value of one key.
func (c *Client) Get(ctx context.Context, key string) (*Answer, error) {
	return c.Do(ctx, Request{Method: http.MethodGet, Path: pathKeys + url.PathEscape(key)})
}

// Put sets one key.
func (c *Client) Put(ctx context.Context, key, value string) (*Answer, error) {
	return c.Do(ctx, Request{Method: http.MethodPut, Path: pathKeys + url.PathEscape(key), Body: []byte(value), Header: keyed()})
}

// Delete removes one key.
func (c *Client) Delete(ctx context.Context, key string) (*Answer, error) {
	return c.Do(ctx, Request{Method: http.MethodDelete, Path: pathKeys + url.PathEscape(key), Header: keyed()})
}

// keyed names a write, so that it is applied once however often it is sent.
func keyed() map[string]string { return map[string]string{wire.HeaderKey: rand.Text()} }

// Kill ends the process of the named node at once, as a crash would.
func (c *Client) Kill(ctx context.Context, node string) (wire.Killed, error) {
	answer, err := c.Do(ctx, Request{Method: http.MethodPost, Path: "/v1/nodes/" + url.PathEscape(node) + "/kill"})
	if err != nil {
		return wire.Killed{}, err
	}
	return decode[wire.Killed](answer)
}

// Switchover changes the primary with its help.
func (c *Client) Switchover(ctx context.Context, o wire.ChangeOrder) (wire.PrimaryChanged, error) {
	return order[wire.PrimaryChanged](ctx, c, http.MethodPost, "/v1/switchover", o)
}

// Failover changes the primary without its help.
func (c *Client) Failover(ctx context.Context, o wire.ChangeOrder) (wire.PrimaryChanged, error) {
	return order[wire.PrimaryChanged](ctx, c, http.MethodPost, "/v1/failover", o)
}

// SetMaintenance takes a node out of the in-sync sets, or ends that.
func (c *Client) SetMaintenance(ctx context.Context, node string, on bool) (wire.Maintenance, error) {
	return order[wire.Maintenance](ctx, c, http.MethodPut, "/v1/nodes/"+url.PathEscape(node)+"/maintenance", wire.Maintenance{On: on})
}

// Remove has the named node leave the cluster for good.
func (c *Client) Remove(ctx context.Context, node string) (wire.Removed, error) {
	answer, err := c.Do(ctx, Request{Method: http.MethodDelete, Path: "/v1/nodes/" + url.PathEscape(node)})
	if err != nil {
		return wire.Removed{}, err
	}
	return decode[wire.Removed](answer)
}

// Adopt has a lost registry rebuilt from the nodes.
func (c *Client) Adopt(ctx context.Context, o wire.AdoptOrder) (wire.Adopted, error) {
	return order[wire.Adopted](ctx, c, http.MethodPost, wire.PathAdopt, o)
}

// Witnesses reads what every node said last to the monitor that leads.
func (c *Client) Witnesses(ctx context.Context) (wire.Witnesses, error) {
	return read[wire.Witnesses](ctx, c, wire.PathAdopt)
}

// AddMonitor takes a monitor in, and returns all there are then.
func (c *Client) AddMonitor(ctx context.Context, o wire.MonitorOrder) (wire.Monitors, error) {
	return order[wire.Monitors](ctx, c, http.MethodPost, wire.PathMonitors, o)
}

// RemoveMonitor takes a monitor out, and returns those that are left.
func (c *Client) RemoveMonitor(ctx context.Context, name string) (wire.Monitors, error) {
	answer, err := c.Do(ctx, Request{Method: http.MethodDelete, Path: wire.PathMonitors + "/" + url.PathEscape(name)})
	if err != nil {
		return wire.Monitors{}, err
	}
	return decode[wire.Monitors](answer)
}

// Configure changes the settings that are named, and returns all.
func (c *Client) Configure(ctx context.Context, settings map[string]any) (protocol.Settings, error) {
	return order[protocol.Settings](ctx, c, http.MethodPatch, "/v1/config", settings)
}

// Freeze has the named node stand still for a while.
func (c *Client) Freeze(ctx context.Context, node string, d protocol.Duration) (wire.Freeze, error) {
	return order[wire.Freeze](ctx, c, http.MethodPost, "/v1/nodes/"+url.PathEscape(node)+"/freeze", wire.Freeze{For: d})
}

// order sends what an operator wants.
func order[T any](ctx context.Context, c *Client, method, path string, message any) (T, error) {
	var none T
	body, err := json.Marshal(message)
	if err != nil {
		return none, fmt.Errorf("encode the order: %w", err)
	}
	answer, err := c.Do(ctx, Request{Method: method, Path: path, Body: body, Header: map[string]string{"Content-Type": "application/json"}})
	if err != nil {
		return none, err
	}
	return decode[T](answer)
}

func read[T any](ctx context.Context, c *Client, path string) (T, error) {
	answer, err := c.Do(ctx, Request{Method: http.MethodGet, Path: path})
	if err != nil {
		var none T
		return none, err
	}
	return decode[T](answer)
}

func decode[T any](answer *Answer) (v T, err error) {
	if err := json.Unmarshal(answer.Body, &v); err != nil {
		return v, fmt.Errorf("the answer is not the expected JSON (is this a monitor of the same release?): %w", err)
	}
	return v, nil
}
