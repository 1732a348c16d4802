package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// freezeDelay leaves the answer to whoever asked for the freeze time to go out.
const freezeDelay = 20 * time.Millisecond

// Freeze has this process stand still for d, a moment after it has returned: it
// is stopped, as by SIGSTOP, and continued by a shell that outlives the stop.
func Freeze(d time.Duration) error {
	const script = "sleep $2; kill -STOP $1; sleep $3; kill -CONT $1"
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }
	cmd := exec.Command("sh", "-c", script, "sh", strconv.Itoa(os.Getpid()), seconds(freezeDelay), seconds(d)) //nolint:noctx // it must outlive whoever asks
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("freeze this process: %w", err)
	}
	go func() { _ = cmd.Wait() }() // ends with the freeze; how says nothing
	return nil
}
