package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// group is the one group of a cluster.
const group protocol.GroupID = 0

const statePath = "/v1/state"

// target is where a request goes.
type target struct {
	name    string
	address string
	query   string // the raw query to send
	// replica: the caller asked for this node's own copy, so the answer need
	// not be newer than what this monitor has already answered.
	replica bool
}

// route finds where r is to go.
func (p *Proxy) route(r *http.Request) (target, error) {
	from, rest, asked := "", r.URL.RawQuery, false
	if r.URL.Path == statePath {
		from, rest, asked = takeFrom(r.URL.RawQuery)
	}
	if !asked {
		return p.primary(rest)
	}
	if !isRead(r.Method) {
		return target{}, problem.Errorf(problem.BadRequest, "from= is for reading a replica's state; a %s goes to the primary without it", r.Method)
	}
	t, err := p.replica(from)
	t.query, t.replica = rest, true
	return t, err
}

func (p *Proxy) primary(query string) (target, error) {
	name, address, serving := p.directory.Primary(group)
	switch {
	case name == "":
		return target{}, noPrimary("the group has no primary now")
	case !serving:
		return target{}, noPrimary("%s is the primary and does not serve yet", name)
	}
	return target{name: name, address: address, query: query}, nil
}

func (p *Proxy) replica(from string) (target, error) {
	switch from {
	case "":
		return target{}, problem.Errorf(problem.BadRequest, "from= must be primary, standby or the name of a node")
	case "primary":
		return p.primary("")
	case "standby":
		name, address, ok := p.directory.Standby(group)
		if !ok {
			return target{}, noPrimary("no standby can be reached now")
		}
		return target{name: name, address: address}, nil
	}
	address, ok := p.directory.Replica(from)
	if !ok {
		names := slices.Sorted(slices.Values(p.directory.Nodes()))
		return target{}, problem.Errorf(problem.NotFound, "no node is named %q; the nodes are: %s", from, strings.Join(names, ", "))
	}
	return target{name: from, address: address}, nil
}

// takeFrom takes the from parameter out of a raw query and leaves the rest byte
// for byte as it was. The first of several counts.
func takeFrom(query string) (from, rest string, asked bool) {
	var kept []string
	for part := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(part, "=")
		if k, err := url.QueryUnescape(key); err != nil || k != "from" {
			kept = append(kept, part)
			continue
		}
		if v, err := url.QueryUnescape(value); err == nil && !asked {
			from = v
		}
		asked = true
	}
	return from, strings.Join(kept, "&"), asked
}

func noPrimary(format string, args ...any) error {
	e := problem.Errorf(problem.NoPrimary, format, args...)
	e.RetryAfter = retryAfter
	return e
}

// isRead tells whether a method changes nothing, so that it may be repeated.
func isRead(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}
