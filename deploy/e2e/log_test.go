package e2e

import (
	"bytes"
	"encoding/json"
	"os"

	"github.com/stretchr/testify/require"
)

// logged reads the log of a process: one object for each line that is one.
func (s *story) logged(name string) []map[string]any {
	s.t.Helper()
	text, err := os.ReadFile(s.Log(name))
	require.NoError(s.t, err)
	var all []map[string]any
	for line := range bytes.Lines(text) {
		var fields map[string]any
		if json.Unmarshal(line, &fields) == nil {
			all = append(all, fields)
		}
	}
	return all
}

// awaitComplete waits until the monitor has told of one failover, after the first
// skip lines, and returns what it says: its steps in milliseconds.
func (s *story) awaitComplete(skip int) map[string]any {
	s.t.Helper()
	const message = "failover complete"
	s.await("the monitor tells the failover", func() bool { return len(s.said("m1", skip, message)) > 0 })
	told := s.said("m1", skip, message)
	require.Len(s.t, told, 1)
	return told[0]
}

// said returns the lines with the message, after the first skip lines.
func (s *story) said(name string, skip int, message string) []map[string]any {
	s.t.Helper()
	var found []map[string]any
	for _, line := range s.logged(name)[skip:] {
		if line["message"] == message {
			found = append(found, line)
		}
	}
	return found
}
