package registry

import (
	"fmt"
	"io"

	"github.com/hashicorp/go-hclog"
	"github.com/rs/zerolog"
)

// raftLogger returns a logger for Raft that writes to log. What Raft holds for
// information is detail here: the transitions that matter are logged by this
// package itself.
func raftLogger(log zerolog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off})
	l.RegisterSink(&sink{log})
	return l
}

// sink implements [hclog.SinkAdapter].
type sink struct{ log zerolog.Logger }

// Accept implements [hclog.SinkAdapter].
func (s *sink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	e := s.event(level)
	for i := 0; i+1 < len(args); i += 2 {
		e = e.Interface(fmt.Sprint(args[i]), plain(args[i+1]))
	}
	e.Str("raft", msg).Msg("raft message")
}

// plain makes an argument printable as Raft means it.
func plain(v any) any {
	switch v := v.(type) {
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	case hclog.Format:
		return fmt.Sprintf(fmt.Sprint(v[0]), v[1:]...)
	}
	return v
}

func (s *sink) event(level hclog.Level) *zerolog.Event {
	switch level {
	case hclog.Error:
		return s.log.Error()
	case hclog.Warn:
		return s.log.Warn()
	case hclog.Info, hclog.Debug:
		return s.log.Debug()
	case hclog.Trace, hclog.NoLevel, hclog.Off:
		return s.log.Trace()
	}
	return s.log.Trace()
}
