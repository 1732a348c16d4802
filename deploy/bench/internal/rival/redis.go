package rival

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"understudy.example/deploy/bench/internal/call"
	"understudy.example/deploy/internal/cluster"
	"understudy.example/pkg/wire"
)

// Three servers, so that one copy beside the new master's is left when a server
// has died and a write can be acknowledged by two; three sentinels.
const (
	redisServers   = 3
	redisSentinels = 3
)

// What a server syncs and refuses so that an acknowledged write is as safe as
// Redis can make it. Clients add WAIT 1 to each write.
const redisSettings = `bind 127.0.0.1
port %d
dir %s
appendonly yes
appendfsync always
save ""
repl-diskless-sync yes
repl-diskless-sync-delay 0
min-replicas-to-write 1
min-replicas-max-lag 10
`

// 500 ms is the lowest time by which a busy machine's hiccups are not taken for
// a death; a sentinel asks once in that time.
const sentinelSettings = `bind 127.0.0.1
port %d
dir %s
sentinel monitor group 127.0.0.1 %d 2
sentinel down-after-milliseconds group 500
sentinel failover-timeout group 3000
sentinel parallel-syncs group 2
`

// redis is Redis with Sentinel.
type redis struct {
	processes
	servers   []string // addresses
	sentinels []string
}

func startRedis(ctx context.Context, dir string) (Rival, error) {
	server, err := program("redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	sentinel, err := program("redis-sentinel", "redis-sentinel")
	if err != nil {
		return nil, err
	}
	addresses, err := cluster.FreeAddresses(ctx, redisServers+redisSentinels)
	if err != nil {
		return nil, err
	}
	r := &redis{processes: newProcesses(), servers: addresses[:redisServers], sentinels: addresses[redisServers:]}
	first := port(r.servers[0])
	for i, address := range r.servers {
		settings := redisSettings
		if i > 0 {
			settings += fmt.Sprintf("replicaof 127.0.0.1 %d\n", first)
		}
		if err := r.configure(dir, serverName(i), server, settings, port(address)); err != nil {
			return nil, err
		}
	}
	for i, address := range r.sentinels {
		settings := strings.Replace(sentinelSettings, "group 127.0.0.1 %d", "group 127.0.0.1 "+strconv.Itoa(first), 1)
		if err := r.configure(dir, "sentinel"+strconv.Itoa(i+1), sentinel, settings, port(address)); err != nil {
			return nil, err
		}
	}
	return r, r.startAll()
}

func serverName(i int) string { return "redis" + strconv.Itoa(i+1) }

func port(address string) int {
	_, p, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(p) // addresses are of our making
	return n
}

// configure writes the settings of a process: Sentinel rewrites them.
func (r *redis) configure(dir, name, program, settings string, port int) error {
	own := filepath.Join(dir, name)
	if err := os.MkdirAll(own, 0o755); err != nil {
		return err
	}
	file := filepath.Join(own, "settings.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, settings, port, own), 0o644); err != nil {
		return err
	}
	r.add(name, dir, program, file)
	return nil
}

// master asks the sentinels, the first that answers, for the master's address.
func (r *redis) master(ctx context.Context) (string, error) {
	var errs []error
	for _, s := range r.sentinels {
		res, err := ask(ctx, s, "SENTINEL", "get-master-addr-by-name", "group")
		switch {
		case err != nil:
			errs = append(errs, err)
		case len(res.array) == 2:
			return net.JoinHostPort(res.array[0].text, res.array[1].text), nil
		}
	}
	return "", fmt.Errorf("no sentinel names a master: %w", errors.Join(errs...))
}

// ask opens a connection for a single command.
func ask(ctx context.Context, address string, args ...string) (reply, error) {
	c, err := dialResp(ctx, address)
	if err != nil {
		return reply{}, err
	}
	defer c.close()
	return c.do(args...)
}

// Primary returns the server that the sentinels name, if it is a master.
func (r *redis) Primary(ctx context.Context) (name, address string, err error) {
	if address, err = r.master(ctx); err != nil {
		return "", "", err
	}
	role, err := ask(ctx, address, "ROLE")
	if err != nil {
		return "", "", err
	}
	i := slices.Index(r.servers, address)
	if i < 0 || len(role.array) == 0 || role.array[0].text != "master" {
		return "", "", fmt.Errorf("%s is named as master, and is none", address)
	}
	return serverName(i), address, nil
}

// WaitReady waits until every other server follows the master, and every
// sentinel knows both of them and the other sentinels.
func (r *redis) WaitReady(ctx context.Context) error {
	return await(ctx, func(ctx context.Context) error {
		_, address, err := r.Primary(ctx)
		if err != nil {
			return err
		}
		for _, s := range r.sentinels {
			if err := follows(ctx, s, "SENTINEL", "sentinels", redisSentinels-1); err != nil {
				return err
			}
			if err := follows(ctx, s, "SENTINEL", "replicas", redisServers-1); err != nil {
				return err
			}
		}
		role, err := ask(ctx, address, "ROLE")
		if err != nil {
			return err
		}
		if len(role.array) != 3 || len(role.array[2].array) != redisServers-1 {
			return fmt.Errorf("not every server follows %s", address)
		}
		return nil
	})
}

// follows checks that a sentinel lists as many others as it should, all well.
func follows(ctx context.Context, sentinel, command, what string, want int) error {
	res, err := ask(ctx, sentinel, command, what, "group")
	if err != nil {
		return err
	}
	if len(res.array) != want {
		return fmt.Errorf("sentinel %s knows %d %s of %d", sentinel, len(res.array), what, want)
	}
	for _, one := range res.array {
		for i := 0; i+1 < len(one.array); i += 2 {
			flags := one.array[i+1].text
			if one.array[i].text == "flags" && (strings.Contains(flags, "down") || strings.Contains(flags, "disconnected")) {
				return fmt.Errorf("sentinel %s takes one of the %s for %s", sentinel, what, flags)
			}
		}
	}
	return nil
}

// onMaster runs commands at the master.
func (r *redis) onMaster(ctx context.Context, do func(*respConn) error) error {
	_, address, err := r.Primary(ctx)
	if err != nil {
		return err
	}
	c, err := dialResp(ctx, address)
	if err != nil {
		return err
	}
	defer c.close()
	return do(c)
}

// atOnce bounds the keys of one command.
const atOnce = 1000

// Items reads the keys of a prefix at the master.
func (r *redis) Items(ctx context.Context, prefix string) ([]wire.Item, error) {
	have := map[string]string{}
	err := r.onMaster(ctx, func(c *respConn) error {
		keys, err := c.do("KEYS", prefix+"*")
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(keys.array, atOnce) {
			args := []string{"MGET"}
			for _, k := range chunk {
				args = append(args, k.text)
			}
			values, err := c.do(args...)
			if err != nil {
				return err
			}
			if len(values.array) != len(chunk) {
				return errProtocol
			}
			for i, v := range values.array {
				have[chunk[i].text] = v.text
			}
		}
		return nil
	})
	return items(have), err
}

// Remove deletes keys.
func (r *redis) Remove(ctx context.Context, keys []string) error {
	return r.onMaster(ctx, func(c *respConn) error {
		for chunk := range slices.Chunk(keys, atOnce) {
			if _, err := c.do(append([]string{"DEL"}, chunk...)...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Open returns a client that asks the sentinels for the master when it has lost
// its connection or was refused.
func (r *redis) Open() call.Caller { return &redisCaller{redis: r} }

type redisCaller struct {
	redis *redis
	conn  *respConn // nil: not connected
}

// Close closes the connection.
func (c *redisCaller) Close() {
	if c.conn != nil {
		c.conn.close()
		c.conn = nil
	}
}

// Call sets or gets a key.
func (c *redisCaller) Call(ctx context.Context, req call.Request) call.Answer {
	if c.conn == nil {
		address, err := c.redis.master(ctx)
		if err == nil {
			c.conn, err = dialResp(ctx, address)
		}
		if err != nil {
			c.conn = nil
			return call.Answer{Code: call.NoConnection, Detail: err.Error()}
		}
	}
	a, err := c.send(req)
	if err == nil {
		return a
	}
	c.Close() // a refusal too may mean that this is the wrong server
	a = call.Answer{Code: call.NoAnswer, Detail: err.Error(), Sent: true}
	if no, ok := errors.AsType[refusal](err); ok {
		code, _, _ := strings.Cut(string(no), " ")
		a.Code, a.Sent = strings.ToLower(code), false
	}
	return a
}

func (c *redisCaller) send(req call.Request) (call.Answer, error) {
	if req.Method == http.MethodGet {
		res, err := c.conn.do("GET", req.Key)
		if err != nil {
			return call.Answer{}, err
		}
		if res.null {
			return call.Answer{Status: http.StatusNotFound, Code: "not_found"}, nil
		}
		return call.Answer{Status: http.StatusOK, Body: []byte(res.text)}, nil
	}
	if _, err := c.conn.do("SET", req.Key, string(req.Body)); err != nil {
		return call.Answer{}, err
	}
	copies, err := c.conn.do("WAIT", "1", "500")
	if err != nil {
		return call.Answer{}, fmt.Errorf("wait for a copy: %w", err)
	}
	if copies.number < 1 {
		return call.Answer{}, errors.New("no other server has acknowledged the write within 500 ms")
	}
	return call.Answer{Status: http.StatusNoContent, Sent: true}, nil
}
