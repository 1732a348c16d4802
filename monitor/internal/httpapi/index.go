package httpapi

import (
	"fmt"
	"net/http"
	"strings"

	"understudy.example/pkg/wire"
)

// endpoint is one line of the index.
type endpoint struct{ methods, path, does string }

func endpoints() []endpoint {
	return []endpoint{
		{"GET PATCH", "/v1/state", "the whole map; ?from=primary, standby or a node's name: that replica's copy"},
		{"GET", "/v1/kv", "a page of keys: ?prefix=&after=&limit="},
		{"GET PUT DELETE", "/v1/kv/*", "one key"},
		{"GET", wire.PathWatch, "the keys that begin with ?prefix=, and every change from now on; ?since=POSITION: every change after that"},
		{"GET", "/v1/cluster", "nodes, groups, monitors and settings now"},
		{"GET", "/v1/history", "what happened to the cluster"},
		{"GET", wire.PathEvents, "who the primary is, and what happens from now on, as server-sent events"},
		{"GET", "/v1/explain", "who could take over, and if nobody, why"},
		{"POST", "/v1/switchover", "change the primary with its help: {to}"},
		{"POST", "/v1/failover", "change the primary without its help: {to}; {to, force, reason, primary_is_stopped}"},
		{"GET POST", wire.PathAdopt, "what every node says; rebuild a lost registry from the nodes: {node, reason, force}"},
		{"PATCH", "/v1/config", "change settings, for example {\"paused\": true}"},
		{"PUT", "/v1/nodes/{name}/maintenance", "take a node out of the in-sync sets: {on}"},
		{"DELETE", "/v1/nodes/{name}", "remove a node from the cluster; a spare takes its place"},
		{"POST", "/v1/nodes/{name}/kill", "end a node's process at once, as a crash would"},
		{"POST", "/v1/nodes/{name}/freeze", "have a node's or a monitor's process stand still: {for}"},
		{"POST", "/v1/freeze", "have this monitor's process stand still: {for}"},
		{"POST", wire.PathMonitors, "add a monitor that is running: {name, address}"},
		{"DELETE", wire.PathMonitors + "/{name}", "take a monitor out"},
		{"GET", "/livez", "200 while the process answers"},
		{"GET", "/readyz", "200 while this monitor can do its work, else 503 and why"},
		{"GET", "/metrics", "metrics for Prometheus"},
		{"POST", wire.PathHeartbeat, "for nodes: a heartbeat"},
		{"GET", wire.PathHeartbeats, "for nodes: heartbeats, on an upgraded connection"},
		{"POST", wire.PathGroup, "for nodes: a proposal to change an in-sync set"},
		{"GET POST", wire.PathMonitor, "for monitors: who this one is; one that is to be taken in"},
		{"GET", wire.PathRaft, "for monitors: the registry's stream"},
	}
}

// index lists what can be asked here.
func index(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	b.WriteString("Understudy monitor\n\n")
	for _, e := range endpoints() {
		fmt.Fprintf(&b, "%-15s %-29s %s\n", e.methods, e.path, e.does)
	}
	text(w, http.StatusOK, strings.TrimSuffix(b.String(), "\n"))
}
