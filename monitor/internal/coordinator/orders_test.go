package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"understudy.example/monitor/internal/registry"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// failing is a registry that takes no command.
type failing struct {
	lagging
	err error
}

func (f *failing) Apply(context.Context, protocol.Command) (protocol.Registry, error) {
	return f.State(), f.err
}

// An order that may have been carried out is not said to have been refused.
func TestWhatIsSaidOfAnOrderThatTheRegistryDidNotAnswer(t *testing.T) {
	refusal := &protocol.Refusal{Code: protocol.RefuseNotFound, Detail: "there is none"}
	for _, c := range []struct {
		err  error
		code problem.Code
	}{
		{fmt.Errorf("apply command: %w: %w", registry.ErrOutcomeUnknown, context.DeadlineExceeded), problem.OutcomeUnknown},
		{fmt.Errorf("apply command: %w", registry.ErrNotLeader), problem.NoLeader},
		{fmt.Errorf("apply command: %w", registry.ErrClosed), problem.Overloaded},
		{refusal, ""},
		{nil, ""},
	} {
		c2 := &Coordinator{opts: Options{Registry: &failing{err: c.err}}}
		err := c2.apply(t.Context(), protocol.Command{})
		require.Equal(t, c.code, problem.CodeOf(err), "%v", c.err)
		if c.code == "" {
			require.Equal(t, c.err, err)
		}
	}
}

// What is wrong with settings is told by their names.
func TestSettingsThatCannotBeRead(t *testing.T) {
	c := &Coordinator{opts: Options{Registry: &failing{}}}
	for patch, want := range map[string]string{
		"":                      "there are none",
		`{"want_copies":"a"}`:   "want_copies cannot be a JSON string",
		`{"hold":10}`:           "hold cannot be a JSON number",
		`[]`:                    "what names them cannot be a JSON array",
		`{"holds":"10s"}`:       `unknown field "holds"`,
		`{"hold":"10s"} {}`:     "something follows the object",
		`{"hold":"10 seconds"}`: "is not of the form 300ms or 10s",
	} {
		_, err := c.Configure(t.Context(), []byte(patch))
		require.Equal(t, problem.BadRequest, problem.CodeOf(err), patch)
		require.ErrorContains(t, err, want, patch)
	}
}

// A monitor that stops keeps nobody waiting for the end of a change.
func TestTheEndOfAChangeIsNotWaitedForByOneThatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		measures, err := NewMetrics(prometheus.NewRegistry())
		require.NoError(t, err)
		c := New(Options{
			Name: "m1", Registry: &lagging{state: at(1), leads: true}, Config: protocol.DefaultMonitorConfig(),
			Dial:     func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nobody is there") },
			Settings: func(protocol.Settings) {}, Metrics: measures, Log: zerolog.Nop(),
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		answer := make(chan error, 1)
		go func() {
			_, err := c.change(t.Context(), func(time.Time) (uint64, string, *protocol.Refusal) { return 1, "", nil })
			answer <- err
		}()
		time.Sleep(50 * time.Millisecond)
		began := time.Now()
		cancel()
		require.NoError(t, <-ended)
		require.Equal(t, problem.OutcomeUnknown, problem.CodeOf(<-answer))
		require.Zero(t, time.Since(began))
		_, err = c.Switchover(t.Context(), wire.ChangeOrder{}, "")
		require.ErrorIs(t, err, ErrStopped)
	})
}
