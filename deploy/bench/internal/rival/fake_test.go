package rival

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/bench/internal/call"
)

// serveResp answers commands, each read as one line of words; an empty answer
// ends the connection.
func serveResp(t *testing.T, answer func(command string) string) (address string) {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					request, err := readReply(r, 0)
					if err != nil {
						return
					}
					var words []string
					for _, w := range request.array {
						words = append(words, w.text)
					}
					text := answer(strings.Join(words, " "))
					if _, err := io.WriteString(conn, text); err != nil || text == "" {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// list encodes texts as an array.
func list(texts ...string) string {
	s := fmt.Sprintf("*%d\r\n", len(texts))
	for _, one := range texts {
		s += fmt.Sprintf("$%d\r\n%s\r\n", len(one), one)
	}
	return s
}

// fakeRedis is one server and one sentinel that answer from tables.
func fakeRedis(t *testing.T, server, sentinel map[string]string) *redis {
	t.Helper()
	r := &redis{processes: newProcesses()}
	r.servers = []string{serveResp(t, func(c string) string { return server[c] })}
	r.sentinels = []string{"127.0.0.1:1", serveResp(t, func(c string) string {
		if c == "SENTINEL get-master-addr-by-name group" && sentinel == nil {
			return list("127.0.0.1", strconv.Itoa(port(r.servers[0])))
		}
		return sentinel[c]
	})}
	return r
}

func TestRedisCalls(t *testing.T) {
	server := map[string]string{
		"GET a": "$1\r\n7\r\n", "GET none": "$-1\r\n", "SET a 7": "+OK\r\n", "WAIT 1 500": ":1\r\n",
		"SET ro 1": "-READONLY You can't write against a read only replica.\r\n", "GET gone": "",
	}
	c := fakeRedis(t, server, nil).Open()
	defer c.Close()
	get := func(key string) call.Answer {
		return c.Call(t.Context(), call.Request{Method: http.MethodGet, Key: key})
	}
	put := func(key, value string) call.Answer {
		return c.Call(t.Context(), call.Request{Method: http.MethodPut, Key: key, Body: []byte(value)})
	}
	require.Equal(t, "7", string(get("a").Body))
	require.Equal(t, http.StatusNotFound, get("none").Status)
	require.True(t, put("a", "7").Success())
	a := put("ro", "1")
	require.Equal(t, "readonly", a.Code)
	require.False(t, a.Sent)
	a = get("gone")
	require.Equal(t, call.NoAnswer, a.Code)
	require.True(t, get("a").Success(), "a new connection is made")
	server["WAIT 1 500"] = ":0\r\n"
	a = put("a", "7")
	require.Equal(t, call.NoAnswer, a.Code)
	require.True(t, a.Sent, "the master may keep it")
}

func TestRedisWithoutAMaster(t *testing.T) {
	r := fakeRedis(t, nil, map[string]string{"SENTINEL get-master-addr-by-name group": "*-1\r\n"})
	a := r.Open().Call(t.Context(), call.Request{Method: http.MethodGet, Key: "a"})
	require.Equal(t, call.NoConnection, a.Code)
	require.Contains(t, a.Detail, "no sentinel names a master")
	_, _, err := r.Primary(t.Context())
	require.ErrorContains(t, err, "no sentinel names a master")
	r = fakeRedis(t, map[string]string{"ROLE": list("slave")}, nil)
	_, _, err = r.Primary(t.Context())
	require.ErrorContains(t, err, "is named as master, and is none")
	r = fakeRedis(t, map[string]string{"ROLE": list("master")}, nil)
	name, _, err := r.Primary(t.Context())
	require.NoError(t, err)
	require.Equal(t, "redis1", name)
}

func TestWhatSentinelsKnow(t *testing.T) {
	for want, answer := range map[string]string{
		"knows 1 replicas of 2":                        "*1\r\n" + list("flags", "slave"),
		"takes one of the replicas for slave,s_down":   "*2\r\n" + list("flags", "slave") + list("flags", "slave,s_down"),
		"takes one of the replicas for x,disconnected": "*2\r\n" + list("flags", "slave") + list("flags", "x,disconnected"),
		"": "*2\r\n" + list("name", "down", "flags", "slave") + list("flags", "slave"),
	} {
		address := serveResp(t, func(string) string { return answer })
		err := follows(t.Context(), address, "SENTINEL", "replicas", 2)
		if want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}

// fakeEtcd is a cluster whose members answer from tables, by path.
func fakeEtcd(t *testing.T, members ...map[string]string) *etcd {
	t.Helper()
	e := &etcd{processes: newProcesses()}
	for _, m := range members {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, ok := m[r.URL.Path]
			if !ok {
				w.WriteHeader(http.StatusServiceUnavailable)
				text = `{"error":"etcdserver: leader changed"}`
			}
			_, _ = io.WriteString(w, text)
		}))
		t.Cleanup(srv.Close)
		e.clients = append(e.clients, strings.TrimPrefix(srv.URL, "http://"))
	}
	return e
}

func says(member, leader, term string) map[string]string {
	return map[string]string{"/v3/maintenance/status": fmt.Sprintf(`{"header":{"member_id":%q},"leader":%q,"raftTerm":%q}`, member, leader, term)}
}

func TestTheLeaderOfEtcd(t *testing.T) {
	name, _, err := fakeEtcd(t, says("1", "1", "4"), says("2", "2", "10"), says("3", "2", "10")).Primary(t.Context())
	require.NoError(t, err)
	require.Equal(t, "etcd2", name, "the newest term counts")
	e := fakeEtcd(t, says("1", "0", "4"), nil, nil)
	_, _, err = e.Primary(t.Context())
	require.ErrorContains(t, err, "no member says that it leads")
	_, err = e.Items(t.Context(), "p/")
	require.Error(t, err)
	require.Error(t, e.Remove(t.Context(), []string{"a"}))
	require.NoError(t, e.Remove(t.Context(), nil))
}

func TestEtcdCalls(t *testing.T) {
	found := `{"kvs":[{"key":"YQ==","value":"Nw=="}]}`
	ok := map[string]string{"/v3/kv/put": `{}`, "/v3/kv/range": found}
	c := fakeEtcd(t, map[string]string{}, ok, map[string]string{"/v3/kv/range": `{}`}).Open()
	defer c.Close()
	get := call.Request{Method: http.MethodGet, Key: "a"}
	require.Equal(t, "7", string(c.Call(t.Context(), get).Body))
	require.True(t, c.Call(t.Context(), call.Request{Method: http.MethodPut, Key: "a", Body: []byte("7")}).Success())
	c.Close()
	require.Equal(t, http.StatusNotFound, c.Call(t.Context(), get).Status)
	c.Close()
	a := c.Call(t.Context(), get)
	require.Equal(t, "http_503", a.Code)
	require.Contains(t, a.Detail, "leader changed")
	require.True(t, c.Call(t.Context(), get).Success(), "the next member is asked")
}

func TestEtcdThatIsGone(t *testing.T) {
	e := &etcd{processes: newProcesses(), clients: []string{"127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:1"}}
	a := e.Open().Call(t.Context(), call.Request{Method: http.MethodGet, Key: "a"})
	require.Equal(t, call.NoConnection, a.Code)
	require.Equal(t, call.NoAnswer, read([]byte("{")).Code)
}
