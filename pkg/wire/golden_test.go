package wire

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	uuid1 = protocol.UUID("0a1b2c3d4e5f60718293a4b5c6d7e8f9")
	uuid2 = protocol.UUID("1b2c3d4e5f60718293a4b5c6d7e8f90a")
	uuid3 = protocol.UUID("2c3d4e5f60718293a4b5c6d7e8f90a1b")
	uuid4 = protocol.UUID("3d4e5f60718293a4b5c6d7e8f90a1b2c")
)

var (
	boot1 = protocol.Boot{Count: 4, Nonce: "91c2f07a"}
	boot2 = protocol.Boot{Count: 2, Nonce: "5be1d60c"}
	sent  = time.Date(2026, 3, 14, 15, 9, 26, 535_000_000, time.UTC)

	record = protocol.GroupRecord{
		Group: 1, Version: 57, Epoch: 3,
		Primary: protocol.ReplicaBoot{UUID: uuid1, Boot: boot1},
		InSync:  []protocol.UUID{uuid1, uuid2, uuid3},
		Leaving: []protocol.UUID{uuid3},
		Down:    []protocol.UUID{uuid2},
		HeldOut: []protocol.UUID{uuid4}, OverrideEpoch: 2,
		Members: []protocol.UUID{uuid1, uuid2, uuid3, uuid4},
	}
	settings = func() protocol.Settings {
		s := protocol.DefaultSettings()
		s.Paused = true
		return s
	}()
	disk    = Disk{OldestUnsyncedMS: 12, Full: true, Failed: "sync of segment 7: input/output error"}
	witness = Witness{
		Name: "app1", UUID: uuid1, Address: "127.0.0.1:8081", Cluster: "c-19e0", State: protocol.StatePrimary, AgoMS: 41, There: true,
		Groups: []WitnessGroup{{Group: 1, Epoch: 3, Version: 57, Position: protocol.Position{Epoch: 3, Seq: 1042}, Serving: true}},
	}
	text    = "ready"
	bytes64 = "/wAB"
)

// examples holds one value of every message, with every field set.
func examples() map[string]any {
	return map[string]any{
		"heartbeat": Heartbeat{
			V: Format, Cluster: "c-7f3a", Name: "app1", UUID: uuid1, Boot: boot1, Address: "127.0.0.1:8081",
			Priority: 50, Sent: sent, State: protocol.StatePrimary, Stopping: true, Disk: disk,
			Groups: []GroupStatus{{
				Group: 1, Role: protocol.RolePrimary, State: protocol.StatePrimary, Epoch: 3, Version: 57,
				Position: protocol.Position{Epoch: 3, Seq: 1042}, Durable: 1041, Commit: 1040, Serving: true, Upstream: uuid2,
				Peers: []PeerStatus{{UUID: uuid2, Connected: true, InView: true, Durable: 1040, BehindMS: 3}},
			}},
			Sees: map[string]string{"app2": "up", "app3": "down"}, SeenMS: map[string]int64{"app2": 140},
			Knows: map[string]protocol.UUID{"app2": uuid2},
		},
		"assignment": Assignment{
			V: Format, Leads: true, Cluster: "c-7f3a", Event: 41, Groups: []protocol.GroupRecord{record},
			Nodes: []NodeInfo{
				{Name: "app1", UUID: uuid1, Boot: boot1, Address: "127.0.0.1:8081"},
				{Name: "app2", UUID: uuid2, Boot: boot2, Address: "127.0.0.1:8082"},
			},
			Settings: settings,
		},
		"proposal": Proposal{
			V: Format, Cluster: "c-7f3a",
			Change: protocol.ChangeInSync{
				Group: 1, Version: 57, Epoch: 3, Primary: record.Primary,
				InSync: []protocol.UUID{uuid1, uuid2}, Reason: "app3 has not acknowledged for 500ms",
			},
		},
		"proposal_answer": ProposalAnswer{V: Format, Record: record},
		"cluster": Cluster{
			Cluster: "c-7f3a", Leader: "m1", Term: 2,
			Monitors: []MonitorView{{Name: "m1", Address: "127.0.0.1:8080", Leader: true, Reachable: true}},
			Groups: []GroupView{{
				Group: 1, Epoch: 3, Version: 57, Primary: "app1", Serving: true,
				InSync: []string{"app1", "app2"}, Leaving: []string{"app2"}, Members: []string{"app1", "app2", "app3"}, Spares: []string{"app4"},
				Failover: FailoverView{Possible: true, Candidate: "app2", Reason: "app2 is in sync"},
			}},
			Nodes: []NodeView{{
				Name: "app2", UUID: uuid2, Boot: boot2, Address: "127.0.0.1:8082",
				State: protocol.StateCatchingUp, Maintenance: true, Removed: true,
				Groups: []NodeGroupView{{
					Group: 1, Role: protocol.RoleStandby, State: protocol.StateCatchingUp,
					Position: protocol.Position{Epoch: 3, Seq: 1000}, LagRecords: 42, CopiesBehindMS: 7, Upstream: "app1",
				}},
				HeartbeatAgeMS: 41, ClockSkewMS: -3, Disk: disk, Sees: map[string]string{"app1": "up"},
			}},
			Refused:  []Witness{witness},
			Settings: settings,
		},
		"adopt_order": AdoptOrder{Node: "app1", Reason: "the monitor's disk is lost", Force: true},
		"adopted": Adopted{
			Node: "app1", Cluster: "c-7f3a", Groups: []protocol.GroupRecord{record}, Loss: "app2 ends at 3.1043, and app1 at 3.1042", Serving: true,
			Heard: []Witness{witness},
		},
		"witnesses": Witnesses{Cluster: "c-7f3a", Heard: []Witness{witness}},
		"history": History{Cluster: "c-7f3a", Events: []protocol.HistoryEvent{{
			ID: 9, At: sent, Kind: "promoted", Group: 1, Epoch: 3, Version: 56, Node: "app1", Detail: "app2 is down",
			TimelineMS: map[string]float64{"suspected": 301.5, "promoted": 455}, Held: 32,
		}}},
		"killed":      Killed{Node: "app1"},
		"seal_order":  SealOrder{V: Format, Cluster: "c-7f3a", Group: 1, Epoch: 3, To: uuid2},
		"seal_answer": SealAnswer{V: Format, Position: protocol.Position{Epoch: 3, Seq: 1042}},
		"change_order": ChangeOrder{
			Group: 1, To: "app2", Reason: "app1 is lost", Force: true, PrimaryIsStopped: true,
		},
		"primary_changed": PrimaryChanged{
			Group: 1, Kind: "override", From: "app1", To: "app2", Epoch: 4, Loss: "at least 2 records",
			TimelineMS: map[string]float64{"committed": 4.5, "serving": 9},
		},
		"maintenance": Maintenance{Node: "app2", On: true},
		"removed":     Removed{Node: "app2", Why: "it is forgotten when it is stopped"},
		"peer": Peer{
			Name: "app2", UUID: uuid2, Address: "127.0.0.1:8082", Sees: SeesDown, AgeMS: 1400, Why: "connection refused",
			State: protocol.StateStandby, Role: protocol.RoleStandby, Epoch: 3, At: protocol.Position{Epoch: 3, Seq: 1000}, LagRecords: 42,
		},
		"freeze": Freeze{Node: "app2", For: protocol.Duration(5 * time.Second)},
		"monitor_self": MonitorSelf{
			V: Format, Name: "m2", ID: "m2-3d4e5f60718293a4b5c6d7e8f90a1b2c", Address: "127.0.0.1:8090", Born: true,
			Peers: []string{"m1", "m2", "m3"}, Cluster: "c-7f3a", Leader: "m1", Term: 4, Hears: map[string]int64{"app1": 41},
		},
		"monitor_order": MonitorOrder{Name: "m4", Address: "127.0.0.1:8110"},
		"monitors":      Monitors{Monitors: []MonitorView{{Name: "m1", Address: "127.0.0.1:8080", Leader: true, Reachable: true}}},
		"page": Page{
			Items: []Item{
				{Key: "name", Value: &text, ETag: `"3.1042"`},
				{Key: "photo", Base64: &bytes64, ETag: `"3.7"`},
			},
			Next: "photo",
		},
		"primary_event": PrimaryEvent{
			Cluster: "c-7f3a", Group: 1, Name: "app1", Address: "127.0.0.1:8081", Epoch: 3, Version: 57, Serving: true,
		},
		"watch_snapshot": WatchSnapshot{
			First: true, Last: true, Items: []Item{{Key: "name", Value: &text, ETag: `"3.1042"`}},
		},
		"watch_batch": WatchBatch{
			Position: protocol.Position{Epoch: 3, Seq: 1042},
			Changes: []KeyChange{
				{Key: "name", Value: &text},
				{Key: "photo", Base64: &bytes64},
				{Key: "title", Deleted: true},
			},
		},
	}
}

func TestMessagesAreTheirGoldenFiles(t *testing.T) {
	for name, value := range examples() {
		t.Run(name, func(t *testing.T) {
			got, err := json.MarshalIndent(value, "", "  ")
			require.NoError(t, err)
			got = append(got, '\n')
			file := filepath.Join("testdata", name+".json")
			if *update {
				require.NoError(t, os.WriteFile(file, got, 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got))

			back := reflect.New(reflect.TypeOf(value))
			dec := json.NewDecoder(bytes.NewReader(want))
			dec.DisallowUnknownFields()
			require.NoError(t, dec.Decode(back.Interface()))
			require.Equal(t, value, back.Elem().Interface())
		})
	}
}

// A field that an example leaves empty would not be pinned by its golden file.
func TestExamplesSetEveryField(t *testing.T) {
	// An item has a value or its base64, a change one of these or a deletion, and
	// all together set every field.
	seen := map[string]bool{}
	for name, value := range examples() {
		requireSet(t, name, reflect.ValueOf(value), seen)
	}
	require.True(t, seen["Value"])
	require.True(t, seen["Base64"])
	require.True(t, seen["Deleted"])
}

func requireSet(t *testing.T, at string, v reflect.Value, seen map[string]bool) {
	t.Helper()
	if v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]() {
		for f, field := range v.Fields() {
			if (v.Type() == reflect.TypeFor[Item]() || v.Type() == reflect.TypeFor[KeyChange]()) && field.IsZero() {
				continue
			}
			seen[f.Name] = true
			requireSet(t, at+"."+f.Name, field, seen)
		}
		return
	}
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			requireSet(t, at, v.Index(i), seen)
		}
	}
	require.False(t, v.IsZero(), "%s is not set", at)
}

func TestGoldenFilesHaveExamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	require.NoError(t, err)
	require.Len(t, files, len(examples()), "a golden file without an example pins nothing")
}

func TestCheckFormat(t *testing.T) {
	require.NoError(t, CheckFormat(Format))
	for _, v := range []int{0, Format + 1, -1} {
		err := CheckFormat(v)
		require.Equal(t, problem.UnsupportedVersion, problem.CodeOf(err))
		require.ErrorContains(t, err, "run the same release everywhere")
	}
}

// What comes from the network is decoded or refused, and what was decoded means
// the same when it is sent on.
func FuzzHeartbeat(f *testing.F) {
	for _, name := range []string{"heartbeat", "cluster", "assignment"} {
		b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		require.NoError(f, err)
		f.Add(b)
	}
	f.Add([]byte(`{"boot":"4-","groups":[{"position":"1"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) { requireStable[Heartbeat](t, b) })
}

func FuzzAssignment(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("testdata", "assignment.json"))
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`{"settings":{"hold":"1h1h"},"groups":[{"primary":{"boot":""}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) { requireStable[Assignment](t, b) })
}

func requireStable[T any](t *testing.T, b []byte) {
	t.Helper()
	var v, again T
	if json.Unmarshal(b, &v) != nil {
		return
	}
	once, err := json.Marshal(v)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(once, &again))
	twice, err := json.Marshal(again)
	require.NoError(t, err)
	require.Equal(t, string(once), string(twice))
}
