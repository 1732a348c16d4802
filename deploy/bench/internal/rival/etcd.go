package rival

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/deploy/bench/internal/rawhttp"
	"understudy.example/deploy/internal/cluster"
	"understudy.example/pkg/wire"
)

const etcdMembers = 3

// fast are the lowest times that etcd accepts and that its documentation names
// for a network of this kind.
var fast = []string{"--heartbeat-interval", "10", "--election-timeout", "100"}

// etcd is a cluster of etcd, spoken to through its JSON gateway.
type etcd struct {
	processes
	clients []string // addresses for clients
	opened  atomic.Int64
}

func startEtcd(ctx context.Context, dir string, flags ...string) (Rival, error) {
	path, err := program("etcd", "etcd-server")
	if err != nil {
		return nil, err
	}
	addresses, err := cluster.FreeAddresses(ctx, 2*etcdMembers)
	if err != nil {
		return nil, err
	}
	e := &etcd{processes: newProcesses(), clients: addresses[:etcdMembers]}
	peers := addresses[etcdMembers:]
	var members []string
	for i, p := range peers {
		members = append(members, memberName(i)+"=http://"+p)
	}
	for i := range etcdMembers {
		name, own, peer := memberName(i), "http://"+e.clients[i], "http://"+peers[i]
		e.add(name, dir, path, append([]string{
			"--name", name, "--data-dir", filepath.Join(dir, name), "--log-level", "error",
			"--listen-client-urls", own, "--advertise-client-urls", own,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new",
		}, flags...)...)
	}
	return e, e.startAll()
}

func memberName(i int) string { return "etcd" + strconv.Itoa(i+1) }

// status is what a member says of itself. Numbers of 64 bits are strings.
type status struct {
	Header struct {
		Member string `json:"member_id"`
	} `json:"header"`
	Leader  string `json:"leader"`
	Term    string `json:"raftTerm"`
	Applied string `json:"raftAppliedIndex"`
}

// post calls the gateway of one member.
func post(ctx context.Context, address, path string, in, out any) error {
	conn, err := rawhttp.Dial(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	res, err := conn.Do(rawhttp.Request{Method: http.MethodPost, Path: path, Body: body}, requestTimeout)
	if err != nil {
		return err
	}
	if res.Status != http.StatusOK {
		return fmt.Errorf("%s %s answered %d: %s", address, path, res.Status, res.Body)
	}
	return json.Unmarshal(res.Body, out)
}

// Primary returns the member that says that it leads, in the newest term.
func (e *etcd) Primary(ctx context.Context) (name, address string, err error) {
	newest := -1
	for i, client := range e.clients {
		var s status
		if err := post(ctx, client, "/v3/maintenance/status", struct{}{}, &s); err != nil || s.Leader != s.Header.Member {
			continue
		}
		if term, err := strconv.Atoi(s.Term); err == nil && term > newest {
			newest, name, address = term, memberName(i), client
		}
	}
	if newest < 0 {
		return "", "", errors.New("no member says that it leads")
	}
	return name, address, nil
}

// WaitReady waits until all members follow one leader.
func (e *etcd) WaitReady(ctx context.Context) error {
	return await(ctx, func(ctx context.Context) error {
		leaders := map[string]bool{}
		for _, client := range e.clients {
			var s status
			if err := post(ctx, client, "/v3/maintenance/status", struct{}{}, &s); err != nil {
				return err
			}
			leaders[s.Leader] = true
		}
		if len(leaders) != 1 || leaders[""] || leaders["0"] {
			return errors.New("the members do not agree on a leader")
		}
		return nil
	})
}

// pair is a key and its value; JSON carries both in base64.
type pair struct {
	Key   []byte `json:"key"`
	Value []byte `json:"value,omitempty"`
}

// span names the keys from Key up to End, which is left out.
type span struct {
	Key []byte `json:"key"`
	End []byte `json:"range_end,omitempty"`
}

// found is the answer to a range.
type found struct {
	Pairs []pair `json:"kvs"`
}

// Items reads the keys of a prefix, linearizably.
func (e *etcd) Items(ctx context.Context, prefix string) ([]wire.Item, error) {
	_, address, err := e.Primary(ctx)
	if err != nil {
		return nil, err
	}
	end := []byte(prefix)
	end[len(end)-1]++
	var res found
	if err := post(ctx, address, "/v3/kv/range", span{[]byte(prefix), end}, &res); err != nil {
		return nil, err
	}
	have := map[string]string{}
	for _, p := range res.Pairs {
		have[string(p.Key)] = string(p.Value)
	}
	return items(have), nil
}

// Remove deletes everything from the first key to the last.
func (e *etcd) Remove(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	_, address, err := e.Primary(ctx)
	if err != nil {
		return err
	}
	return post(ctx, address, "/v3/kv/deleterange", span{[]byte(keys[0]), []byte(keys[len(keys)-1] + "\x00")}, &struct{}{})
}

// Open returns a client that stays with one member as long as it answers. The
// clients begin at different ones.
func (e *etcd) Open() call.Caller { return &etcdCaller{etcd: e, at: int(e.opened.Add(1))} }

type etcdCaller struct {
	etcd *etcd
	at   int
	conn *rawhttp.Client // nil: not connected
}

// Close closes the connection; the next request goes to the next member.
func (c *etcdCaller) Close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
	c.at++
}

// Call puts or gets a key.
func (c *etcdCaller) Call(ctx context.Context, req call.Request) call.Answer {
	if c.conn == nil {
		dial, cancel := context.WithTimeout(ctx, requestTimeout)
		conn, err := rawhttp.Dial(dial, c.etcd.clients[c.at%etcdMembers])
		cancel()
		if err != nil {
			c.at++
			return call.Answer{Code: call.NoConnection, Detail: err.Error()}
		}
		c.conn = conn
	}
	path, in := "/v3/kv/put", any(pair{[]byte(req.Key), req.Body})
	if req.Method == http.MethodGet {
		path, in = "/v3/kv/range", span{Key: []byte(req.Key)}
	}
	body, err := json.Marshal(in)
	if err != nil {
		return call.Answer{Code: call.NoConnection, Detail: err.Error()}
	}
	res, err := c.conn.Do(rawhttp.Request{Method: http.MethodPost, Path: path, Body: body}, requestTimeout)
	switch {
	case err != nil:
		c.Close()
		return call.Answer{Code: call.NoAnswer, Detail: err.Error(), Sent: true}
	case res.Status != http.StatusOK:
		a := call.Answer{Status: res.Status, Code: "http_" + strconv.Itoa(res.Status), Detail: string(res.Body), Sent: true}
		c.Close()
		return a
	case req.Method != http.MethodGet:
		return call.Answer{Status: http.StatusOK, Sent: true}
	}
	return read(res.Body)
}

// read makes an answer of a range of one key.
func read(body []byte) call.Answer {
	var res found
	if err := json.Unmarshal(body, &res); err != nil {
		return call.Answer{Code: call.NoAnswer, Detail: "read the answer: " + err.Error()}
	}
	if len(res.Pairs) == 0 {
		return call.Answer{Status: http.StatusNotFound, Code: "not_found"}
	}
	return call.Answer{Status: http.StatusOK, Body: res.Pairs[0].Value}
}
