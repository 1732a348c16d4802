package server

import (
	"context"
	"encoding/json"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/pulse"
	"understudy.example/pkg/wire"
)

// BenchmarkHeartbeat is one heartbeat of a registered node and its answer, from
// socket to core and back, both ends included.
func BenchmarkHeartbeat(b *testing.B) {
	l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	o := DefaultOptions()
	o.Data, o.Listen = b.TempDir(), l.Addr().String()
	o.Settings.WantCopies = 1
	require.NoError(b, l.Close())
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	defer func() { stop(); require.NoError(b, <-ended) }()

	s := &pulse.Sender{Dial: new(net.Dialer).DialContext, Monitor: o.Listen, Timeout: time.Second}
	defer s.Close()
	hb := wire.Heartbeat{
		V: wire.Format, Name: "app1", UUID: "0123456789abcdef0123456789abcdef", Boot: protocol.Boot{Count: 1, Nonce: "00c0ffee"},
		Address: "127.0.0.1:9", Priority: 50, State: protocol.StateStandby, Groups: []wire.GroupStatus{{Role: protocol.RoleNone, State: protocol.StateStarting}},
		Sees: map[string]string{"app2": wire.SeesUp, "app3": wire.SeesUp}, SeenMS: map[string]int64{"app2": 12, "app3": 345},
	}
	beat := func() (*wire.Assignment, error) {
		hb.Sent = time.Now()
		message, err := json.Marshal(hb)
		require.NoError(b, err)
		return s.Send(ctx, message)
	}
	require.Eventually(b, func() bool {
		word, err := beat()
		return err == nil && len(word.Nodes) == 1
	}, 10*time.Second, 10*time.Millisecond)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := beat(); err != nil {
			b.Fatal(err)
		}
	}
}
