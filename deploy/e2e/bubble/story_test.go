package bubble

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// story collects what the daemons log, to be shown if the test fails.
type story struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (s *story) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *story) logger() zerolog.Logger {
	out := zerolog.ConsoleWriter{Out: s, NoColor: true, TimeFormat: "04:05.000"}
	return zerolog.New(out).Level(zerolog.InfoLevel).Hook(zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) {
		e.Str(zerolog.TimestampFieldName, time.Now().Format(time.RFC3339Nano)) // finer than the logger's own
	}))
}

// note writes what the test does between what the daemons say.
func (s *story) note(text string) {
	_, _ = fmt.Fprintf(s, "%s ---- %s\n", time.Now().Format("04:05.000"), text) // it cannot fail
}

// count counts the lines of the story that hold a text.
func (s *story) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for line := range strings.Lines(s.text.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (s *story) tell(t *testing.T) {
	if t.Failed() {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, _ = io.WriteString(t.Output(), s.text.String()) // it cannot fail
	}
}
