package daemon

import (
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
)

// logTime is the form of a log line's time: UTC, milliseconds.
const logTime = "2006-01-02T15:04:05.000Z"

// NewLogger returns a logger that writes to w. The format is console (for
// people) or json (one object per line); the level is trace, debug, info, warn
// or error. w must be safe for concurrent use, as an [os.File] is.
func NewLogger(w io.Writer, format, level string) (zerolog.Logger, error) {
	lvl, err := parseLevel(level)
	if err != nil {
		return zerolog.Nop(), err
	}
	switch format {
	case "json":
	case "console":
		w = consoleWriter(w)
	default:
		return zerolog.Nop(), fmt.Errorf("log format %q is not known: console or json", format)
	}
	return zerolog.New(w).Level(lvl).Hook(zerolog.HookFunc(stamp)), nil
}

// stamp adds the time. It is a hook of its own because zerolog's takes its
// format from a global variable.
func stamp(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str(zerolog.TimestampFieldName, time.Now().UTC().Format(logTime))
}

func consoleWriter(w io.Writer) io.Writer {
	return zerolog.ConsoleWriter{
		Out:     w,
		NoColor: true,
		FormatTimestamp: func(v any) string {
			s, ok := v.(string)
			if !ok || len(s) != len(logTime) {
				return fmt.Sprint(v)
			}
			return s[len("2006-01-02T") : len(s)-1]
		},
	}
}

func parseLevel(level string) (zerolog.Level, error) {
	switch level {
	case "trace", "debug", "info", "warn", "error":
		return zerolog.ParseLevel(level)
	}
	return zerolog.Disabled, fmt.Errorf("log level %q is not known: trace, debug, info, warn or error", level)
}
