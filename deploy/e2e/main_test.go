package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"

	"understudy.example/deploy/internal/cluster"
)

// binaries are the programs under test, built once for a run.
var binaries cluster.Binaries

func TestMain(m *testing.M) {
	var err error
	if binaries, err = cluster.Build(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
