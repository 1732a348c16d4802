package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Binaries are the programs that a cluster is made of.
type Binaries struct {
	Monitor string
	Appnode string
	Client  string // not started by a cluster; for whoever acts as its user
}

// Build compiles the monitor, the node and the client from the workspace that the
// working directory is in. The binaries stay below its root, in .understudy/bin, so
// that nothing is linked again while the sources are the same.
func Build(ctx context.Context) (Binaries, error) {
	root, err := workspace(ctx)
	if err != nil {
		return Binaries{}, err
	}
	bin := filepath.Join(root, ".understudy", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return Binaries{}, fmt.Errorf("make a directory for the binaries: %w", err)
	}
	unlock, err := lock(filepath.Join(bin, ".lock"))
	if err != nil {
		return Binaries{}, fmt.Errorf("lock the directory of the binaries: %w", err)
	}
	defer unlock()
	// Without -buildvcs=false every commit would link all anew.
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", bin+string(filepath.Separator), "./monitor", "./appnode", "./client")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return Binaries{}, fmt.Errorf("build the monitor, the node and the client: %w\n%s", err, bytes.TrimSpace(out))
	}
	return Binaries{
		Monitor: filepath.Join(bin, "monitor"), Appnode: filepath.Join(bin, "appnode"), Client: filepath.Join(bin, "client"),
	}, nil
}

// workspace finds the directory of the go.work file.
func workspace(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOWORK").Output()
	if err != nil {
		return "", fmt.Errorf("ask the go command for the workspace: %w", err)
	}
	file := strings.TrimSpace(string(out))
	if file == "" || file == "off" {
		return "", errors.New("there is no go.work file here: run this inside the repository")
	}
	return filepath.Dir(file), nil
}
