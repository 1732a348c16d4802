package peers

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/monitor/internal/registry"
	"understudy.example/pkg/memnet"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// fake is a registry of which a test says what it knows.
type fake struct {
	mu      sync.Mutex // guards the fields below
	id      string
	born    bool
	begun   [][]registry.Member
	members []registry.Member
	leader  registry.Member
	cluster string
	admits  []registry.Member
	dropped []string
	err     error
}

func (f *fake) set(change func(f *fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func get[T any](f *fake, read func() T) T {
	f.mu.Lock()
	defer f.mu.Unlock()
	return read()
}

func (f *fake) ID() string { return get(f, func() string { return f.id }) }

func (f *fake) births() [][]registry.Member {
	return get(f, func() [][]registry.Member { return f.begun })
}

func (f *fake) admitted() []registry.Member {
	return get(f, func() []registry.Member { return f.admits })
}

func (f *fake) dismissed() []string { return get(f, func() []string { return f.dropped }) }

func (f *fake) Born() bool { return get(f, func() bool { return f.born }) }
func (f *fake) Members() []registry.Member {
	return get(f, func() []registry.Member { return slices.Clone(f.members) })
}
func (f *fake) Leader() bool          { return get(f, func() bool { return f.leader.ID == f.id }) }
func (f *fake) LeaderName() string    { return get(f, func() string { return f.leader.Name }) }
func (f *fake) LeaderAddress() string { return get(f, func() string { return f.leader.Address }) }
func (f *fake) Term() uint64          { return 3 }

func (f *fake) State() protocol.Registry {
	return get(f, func() protocol.Registry { return protocol.Registry{Cluster: f.cluster} })
}

func (f *fake) Begin(voters []registry.Member) error {
	f.set(func(f *fake) { f.born, f.members, f.begun = true, voters, append(f.begun, voters) })
	return nil
}

func (f *fake) Admit(_ context.Context, m registry.Member) error {
	f.set(func(f *fake) { f.admits = append(f.admits, m) })
	return get(f, func() error { return f.err })
}

func (f *fake) Dismiss(_ context.Context, name string) error {
	f.set(func(f *fake) {
		f.dropped = append(f.dropped, name)
		f.members = slices.DeleteFunc(f.members, func(m registry.Member) bool { return m.Name == name })
	})
	return get(f, func() error { return f.err })
}

func (f *fake) HandOver(context.Context, string) error { return get(f, func() error { return f.err }) }

// scene is monitors on a network.
type scene struct {
	t     *testing.T
	net   *memnet.Net
	regs  map[string]*fake
	peers map[string]*Peers
	ends  []func()
}

func newScene(t *testing.T) *scene {
	return &scene{t: t, net: memnet.New(1), regs: map[string]*fake{}, peers: map[string]*Peers{}}
}

// start starts a monitor that is told of these peers. At its leader it says who
// answered.
func (s *scene) start(name string, told ...string) *fake { return s.startAs(name, name, told...) }

// startAs starts the monitor on a machine of another name.
func (s *scene) startAs(host, name string, told ...string) *fake {
	return s.startWith(&fake{id: host + "-disk"}, host, name, told...)
}

// startWith starts the monitor with a registry that it has.
func (s *scene) startWith(reg *fake, host, name string, told ...string) *fake {
	var list []Peer
	for _, p := range told {
		list = append(list, Peer{p, p + ":80"})
	}
	h := s.net.Host(host)
	p := New(Options{
		Name: name, Address: host + ":80", Peers: list, Registry: reg, Dial: h.Dial, Log: zerolog.Nop(),
		Hears: func() map[string]int64 { return map[string]int64{"app1": 20} },
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathMonitor, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(p.Self()) })
	mux.Handle("POST "+wire.PathMonitor, p.AtLeader(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var who wire.MonitorSelf
		_ = json.NewDecoder(r.Body).Decode(&who)
		if err := p.Join(r.Context(), who); err != nil {
			problem.Write(w, err)
			return
		}
		_ = json.NewEncoder(w).Encode(p.Self())
	})))
	mux.Handle("DELETE "+wire.PathMonitors+"/{name}", p.AtLeader(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := p.Remove(r.Context(), r.PathValue("name")); err != nil {
			problem.Write(w, err)
			return
		}
		_ = json.NewEncoder(w).Encode(wire.Monitors{})
	})))
	mux.Handle("/", http.NewCrossOriginProtection().Handler(p.AtLeader(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(name + " was asked by " + r.RemoteAddr))
	}))))
	ln, err := h.Listen(s.t.Context(), host+":80")
	require.NoError(s.t, err)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(ln) }()
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Run(ctx)
	}()
	s.ends = append(s.ends, func() {
		cancel()
		<-ended
		_ = server.Close()
	})
	s.regs[host], s.peers[host] = reg, p
	return reg
}

func (s *scene) end() {
	for _, end := range s.ends {
		end()
	}
	s.net.Close()
}

func play(t *testing.T, fn func(t *testing.T, s *scene)) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		defer s.end()
		fn(t, s)
	})
}

func TestTheLowestNameBeginsOnceAllAreThere(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		m1 := s.start("m1", "m1", "m2", "m3")
		m2 := s.start("m2", "m1", "m2", "m3")
		time.Sleep(time.Minute)
		require.Empty(t, m1.births(), "m3 has not been heard")
		m3 := s.start("m3", "m1", "m2", "m3")
		time.Sleep(time.Second)
		require.Len(t, m1.births(), 1)
		require.Equal(t, []registry.Member{
			{Name: "m1", ID: "m1-disk", Address: "m1:80"}, {Name: "m2", ID: "m2-disk", Address: "m2:80"}, {Name: "m3", ID: "m3-disk", Address: "m3:80"},
		}, m1.births()[0])
		require.Empty(t, m2.births())
		require.Empty(t, m3.births())
	})
}

func TestNobodyBeginsWhereThatCouldBeASecondBirth(t *testing.T) {
	for name, prepare := range map[string]func(s *scene){
		"one is born":              func(s *scene) { s.start("m2", "m1", "m2").set(func(f *fake) { f.born = true }) },
		"one was told of others":   func(s *scene) { s.start("m2", "m1", "m2", "m3") },
		"one was told of itself":   func(s *scene) { s.start("m2") },
		"one is another by name":   func(s *scene) { s.startAs("m2", "m9", "m1", "m2") },
		"one does not answer":      func(s *scene) { s.start("m2", "m1", "m2"); s.net.CutBoth("m1", "m2") },
		"one answers, and it ends": func(*scene) {},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *scene) {
				prepare(s)
				m1 := s.start("m1", "m1", "m2")
				time.Sleep(time.Minute)
				require.Empty(t, m1.births())
			})
		})
	}
}

// three monitors with a registry, m1 leading, half-way between two rounds: rounds fall
// on fixed moments of the clock, and what a test does at such a moment would race
// with them.
func three(s *scene) {
	var all []registry.Member
	for _, name := range []string{"m1", "m2", "m3"} {
		all = append(all, registry.Member{Name: name, ID: name + "-disk", Address: name + ":80", Voter: true})
	}
	for _, m := range all {
		reg := &fake{id: m.ID, born: true, members: slices.Clone(all), leader: all[0], cluster: "c"}
		s.startWith(reg, m.Name, m.Name, "m1", "m2", "m3")
	}
	time.Sleep(roundEvery + roundEvery/2)
}

func (s *scene) ask(at, path string, header ...string) (int, string) {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: s.net.Host("client").Dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+at+":80"+path, strings.NewReader("{}"))
	require.NoError(s.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return res.StatusCode, string(text)
}

func TestTheLeaderAnswersWhoeverIsAsked(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		three(s)
		_, text := s.ask("m1", "/order")
		require.Contains(t, text, "m1 was asked by client")
		_, text = s.ask("m2", "/order")
		require.Contains(t, text, "m1 was asked by client")
		require.Contains(t, text, "through m2")
		_, text = s.ask("m2", "/order", "Origin", "http://m2:80")
		require.Contains(t, text, "m1 was asked by client", "a page of m2's own")
		status, _ := s.ask("m2", "/order", "Origin", "http://elsewhere")
		require.Equal(t, http.StatusForbidden, status)

		for _, reg := range s.regs {
			reg.set(func(f *fake) { f.leader = registry.Member{} })
		}
		began := time.Now()
		status, text = s.ask("m2", "/order")
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Contains(t, text, "no_leader")
		require.LessOrEqual(t, time.Since(began), leaderWait+10*time.Millisecond)
	})
}

func TestARequestWaitsForAnElectionAndGoesRoundInNoCircle(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		three(s)
		for name, reg := range s.regs {
			reg.set(func(f *fake) { f.leader = registry.Member{} })
			if name == "m2" {
				time.AfterFunc(500*time.Millisecond, func() {
					reg.set(func(f *fake) { f.leader = registry.Member{Name: "m2", ID: "m2-disk", Address: "m2:80"} })
				})
			}
		}
		_, text := s.ask("m2", "/order")
		require.Contains(t, text, "m2 was asked by client")

		// m1 holds m3 for the leader, and m3 holds m1 for it.
		s.regs["m1"].set(func(f *fake) { f.leader = f.members[2] })
		s.regs["m3"].set(func(f *fake) { f.leader = f.members[0] })
		status, text := s.ask("m1", "/order")
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Contains(t, text, "m3 was asked as the leader")
	})
}

func TestOneThatLostItsDiskAsksToBeTakenIn(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		three(s)
		s.regs["m3"].set(func(f *fake) { f.born, f.members, f.id = false, nil, "m3-new" })
		time.Sleep(roundEvery)
		require.NotEmpty(t, s.regs["m1"].admitted())
		require.Equal(t, registry.Member{Name: "m3", ID: "m3-new", Address: "m3:80"}, s.regs["m1"].admitted()[0])
		require.Empty(t, s.regs["m3"].births())
	})
}

// One that was taken out, and goes on running, says so once: what another one says that
// knows of no leader is no news.
func TestOneThatWasTakenOutSaysSo(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		three(s)
		for name, reg := range s.regs {
			reg.set(func(f *fake) {
				f.members = slices.DeleteFunc(f.members, func(m registry.Member) bool { return m.Name == "m2" })
				if name == "m3" {
					f.leader = registry.Member{}
				}
			})
		}
		time.Sleep(2*roundEvery + leaderWait)
		m2 := s.peers["m2"]
		m2.mu.Lock()
		defer m2.mu.Unlock()
		require.Contains(t, m2.said, "m2 is none of the monitors")
	})
}

func TestWhoIsTakenIn(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		three(s)
		leader, ctx := s.peers["m1"], t.Context()
		s.start("m4", "m1", "m2", "m3", "m4")
		who := s.peers["m4"].Self()
		require.Equal(t, problem.Forbidden, problem.CodeOf(leader.Join(ctx, who)), "nobody has named it")
		require.NoError(t, leader.Add(ctx, wire.MonitorOrder{Name: "m4", Address: "m4:80"}))
		require.Equal(t, "m4-disk", s.regs["m1"].admitted()[0].ID)

		for want, o := range map[string]wire.MonitorOrder{
			"its name":                  {Address: "m4:80"},
			"no monitor answers":        {Name: "m5", Address: "m5:80"},
			"answers monitor m4, not":   {Name: "m5", Address: "m4:80"},
			"by its name and its host:": {Name: "m@4", Address: "m4:80"},
		} {
			err := leader.Add(ctx, o)
			require.Equal(t, problem.BadRequest, problem.CodeOf(err))
			require.ErrorContains(t, err, want)
		}
		s.regs["m4"].set(func(f *fake) { f.cluster = "other" })
		require.Equal(t, problem.WrongCluster, problem.CodeOf(leader.Add(ctx, wire.MonitorOrder{Name: "m4", Address: "m4:80"})))

		// A second m3 somewhere else, while the first is alive.
		s.startAs("twin", "m3", "m1", "m2", "m3")
		who = s.peers["twin"].Self()
		require.Equal(t, problem.DuplicateNode, problem.CodeOf(leader.Join(ctx, who)))
		who.ID = "m3-lie"
		require.Equal(t, problem.BadRequest, problem.CodeOf(leader.Join(ctx, who)), "another answers there")
		s.regs["m1"].set(func(f *fake) { f.err = errors.New("the leadership was lost") })
		require.Equal(t, problem.NoLeader, problem.CodeOf(leader.Add(ctx, wire.MonitorOrder{Name: "m3", Address: "m3:80"})))
	})
}

func TestAMajorityStays(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		three(s)
		ctx := t.Context()
		require.Equal(t, problem.NotFound, problem.CodeOf(s.peers["m1"].Remove(ctx, "m9")))
		s.net.CutBoth("m1", "m3")
		err := s.peers["m1"].Remove(ctx, "m2")
		require.Equal(t, problem.WouldLoseData, problem.CodeOf(err))
		require.ErrorContains(t, err, "no majority")
		require.NoError(t, s.peers["m1"].Remove(ctx, "m3"), "the one that is cut off")
		require.Equal(t, []string{"m3"}, s.regs["m1"].dismissed())
	})
}

// Of four monitors one is down. Each of the others could go, but not two of them.
func TestTwoThatAreRemovedAtOnceAreRemovedInTurn(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		three(s)
		down := registry.Member{Name: "m4", ID: "m4-disk", Address: "m4:80", Voter: true}
		s.regs["m1"].set(func(f *fake) { f.members = append(slices.Clone(f.members), down) })
		codes := make(chan problem.Code, 2)
		for _, name := range []string{"m2", "m3"} {
			go func() { codes <- problem.CodeOf(s.peers["m1"].Remove(t.Context(), name)) }()
		}
		require.ElementsMatch(t, []problem.Code{"", problem.WouldLoseData}, []problem.Code{<-codes, <-codes})
		require.Len(t, s.regs["m1"].dismissed(), 1)
	})
}

// One that is still being taken in answers, and has no vote.
func TestANewcomerIsNoPartOfTheMajority(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		three(s)
		s.start("m4")
		newcomer := registry.Member{Name: "m4", ID: "m4-disk", Address: "m4:80"}
		s.regs["m1"].set(func(f *fake) { f.members = append(slices.Clone(f.members), newcomer) })
		s.net.CutBoth("m1", "m3")
		require.Equal(t, problem.WouldLoseData, problem.CodeOf(s.peers["m1"].Remove(t.Context(), "m2")))
		require.NoError(t, s.peers["m1"].Remove(t.Context(), "m4"))
	})
}

// The leader that is to go hands over, and has its successor remove it. For a moment it
// still holds itself for the leader, and then knows of none.
func TestALeaderHasItsSuccessorRemoveIt(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		three(s)
		lead := func(m registry.Member) {
			for _, reg := range s.regs {
				reg.set(func(f *fake) { f.leader = m })
			}
		}
		s.regs["m1"].set(func(f *fake) { f.leader = registry.Member{ID: "m1-disk"} })
		time.AfterFunc(45*time.Millisecond, func() { lead(registry.Member{}) })
		time.AfterFunc(95*time.Millisecond, func() { lead(s.regs["m2"].Members()[1]) })
		require.NoError(t, s.peers["m1"].Remove(t.Context(), "m1"))
		require.Equal(t, []string{"m1"}, s.regs["m2"].dismissed())

		lead(registry.Member{})
		began := time.Now()
		require.Equal(t, problem.NoLeader, problem.CodeOf(s.peers["m1"].Remove(t.Context(), "m1")))
		require.LessOrEqual(t, time.Since(began), leaderWait+askTimeout)
	})
}

func TestViewsAndWhatOthersHear(t *testing.T) {
	play(t, func(t *testing.T, s *scene) {
		three(s)
		s.regs["m2"].set(func(f *fake) { f.members = nil })
		require.Len(t, s.peers["m2"].Views("m2"), 1, "those it was begun with are none any more")
		s.net.CutBoth("m1", "m3")
		time.Sleep(3 * time.Second)
		require.Equal(t, []wire.MonitorView{
			{Name: "m1", Address: "m1:80", Leader: true, Reachable: true},
			{Name: "m2", Address: "m2:80", Reachable: true},
			{Name: "m3", Address: "m3:80"},
		}, s.peers["m1"].Views("m1"))
		heard := map[string]time.Duration{}
		var mu sync.Mutex
		s.peers["m1"].AskHears(t.Context(), func(peer string, ago map[string]time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			heard[peer] = ago["app1"]
		})
		require.Len(t, heard, 1, "m3 does not answer")
		require.GreaterOrEqual(t, heard["m2"], 20*time.Millisecond)
		address, ok := s.peers["m1"].AddressOf("m2")
		require.True(t, ok)
		require.Equal(t, "m2:80", address)
		_, ok = s.peers["m1"].AddressOf("m9")
		require.False(t, ok)
	})
}
