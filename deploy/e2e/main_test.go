package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"understudy.example/deploy/internal/cluster"
	"understudy.example/deploy/internal/isolate"
	"understudy.example/deploy/internal/netns"
)

// binaries are the programs under test, built once for a run.
var binaries cluster.Binaries

// unisolated is why there are no namespaces here, and unwired why there can be no
// network of machines; nil: there can.
var unisolated, unwired error

// stories is how many run beside each other: most of a story is waiting.
const stories = 5

func TestMain(m *testing.M) {
	without := flag.Bool("without-namespaces", false, "run as where the system has no namespaces")
	flag.Parse()
	var err error
	// Here and not in the isolated process: it may have to fetch modules.
	if binaries, err = cluster.Build(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(isolate.Main(!*without, func(missing error) int {
		if unisolated, unwired = missing, missing; missing == nil {
			unwired = tryNetwork()
		}
		parallel := flag.Lookup("test.parallel")
		if parallel.Value.String() == parallel.DefValue {
			if err := parallel.Value.Set(fmt.Sprint(stories)); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		return m.Run()
	}))
}

// tryNetwork tells whether a network can be made.
func tryNetwork() error {
	n, err := netns.New()
	if err != nil {
		return err
	}
	return n.Close()
}
