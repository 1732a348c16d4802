package registry

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
)

func TestCommandRoundTrip(t *testing.T) {
	c := register("app1")
	c.At = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	data, err := encodeCommand(c)
	require.NoError(t, err)
	got, err := decodeCommand(data)
	require.NoError(t, err)
	require.Equal(t, c, got)
	for i := range data { // any flipped bit is noticed
		data[i] ^= 1
		_, err := decodeCommand(data)
		require.Error(t, err, "byte %d", i)
		data[i] ^= 1
	}
}

// Whatever the bytes, they are refused or applied, and never panic.
func FuzzDecodeCommand(f *testing.F) {
	good, err := encodeCommand(register("app1"))
	require.NoError(f, err)
	f.Add(good, []byte(`{"promote":{"group":0,"version":1,"primary":{"uuid":"u","boot":"1-a"}}}`))
	f.Add([]byte{format}, []byte(`{"set_members":{"members":["u"]}}`))
	f.Add([]byte("\x01\x00\x00\x00\x00{}"), good[entryHeader:])
	founded, refusal := protocol.Registry{}.Apply(protocol.Command{Found: &protocol.Found{Cluster: "c", Settings: protocol.DefaultSettings()}})
	require.Nil(f, refusal)
	f.Fuzz(func(t *testing.T, raw, body []byte) {
		for _, data := range [][]byte{raw, entry(t, format, string(body))} {
			c, err := decodeCommand(data)
			if err != nil {
				continue
			}
			next, refusal := founded.Apply(c)
			require.True(t, refusal == nil || next.NextID == founded.NextID, "a refused command changes nothing")
		}
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	f.Add([]byte(`{"format":1,"registry":{"cluster":"c","groups":{"0":{"epoch":3}}}}`))
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		state, err := decodeSnapshot(bytes.NewReader(data))
		if err != nil {
			return
		}
		var out bytes.Buffer
		require.NoError(t, encodeSnapshot(&out, state))
		again, err := decodeSnapshot(&out)
		require.NoError(t, err)
		require.Len(t, again.Groups, len(state.Groups))
	})
}

func TestTranslate(t *testing.T) {
	for _, c := range []struct{ raft, want error }{
		{raft.ErrNotLeader, ErrNotLeader},
		{raft.ErrLeadershipTransferInProgress, ErrNotLeader},
		{raft.ErrEnqueueTimeout, ErrNotLeader},
		{raft.ErrRaftShutdown, ErrClosed},
		{raft.ErrLeadershipLost, ErrOutcomeUnknown},
		{errors.New("no space left on device"), ErrOutcomeUnknown},
	} {
		require.ErrorIs(t, translate(c.raft), c.want)
	}
}

func TestMonitorName(t *testing.T) {
	require.Equal(t, "m-1", monitorName(identity{Name: "m-1", UUID: "abc"}.raftID()))
	require.Empty(t, monitorName(""))
}

func TestRaftLogger(t *testing.T) {
	var out bytes.Buffer
	l := raftLogger(zerolog.New(&out)).With("peer", "m2").Named("snap")
	l.Warn("it broke", "error", errors.New("a reason"), "servers", hclog.Fmt("%d of %d", 1, 3), "n", 4)
	require.JSONEq(t, `{"level":"warn","raft":"it broke","peer":"m2","error":"a reason","servers":"1 of 3","n":4,"message":"raft message"}`, out.String())
	for level, want := range map[hclog.Level]string{
		hclog.Trace: "trace", hclog.Debug: "debug", hclog.Info: "debug", hclog.Warn: "warn", hclog.Error: "error",
	} {
		out.Reset()
		l.Log(level, "x")
		require.Contains(t, out.String(), `"level":"`+want+`"`)
	}
}
