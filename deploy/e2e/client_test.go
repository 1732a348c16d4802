package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"

	"github.com/stretchr/testify/require"
)

// outcome is how a program ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// client runs the client as its user would.
func (s *story) client(args ...string) outcome {
	s.t.Helper()
	return s.run(binaries.Client, append([]string{"-monitor", s.Monitor()[len("http://"):]}, args...)...)
}

func (s *story) run(program string, args ...string) outcome {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(s.t, err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// state reads the map of a replica with the client.
func (s *story) state(who string) map[string]string {
	s.t.Helper()
	return s.parse(s.client("-get-state", who))
}

// parse reads a map that the client has printed.
func (s *story) parse(o outcome) map[string]string {
	s.t.Helper()
	require.Zero(s.t, o.code, o.stderr)
	var m map[string]string
	require.NoError(s.t, json.Unmarshal([]byte(o.stdout), &m))
	return m
}
