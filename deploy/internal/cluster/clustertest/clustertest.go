// Package clustertest lets a test binary play the monitor and the nodes of a
// cluster, as far as a launcher can tell them from real ones.
package clustertest

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"understudy.example/pkg/wire"
)

// Main is for TestMain, and returns the exit code: with a daemon's flags on the
// command line it plays that daemon until it is ended, else it runs the tests. Two
// flags of its own make a daemon end at once with that text (-die), or ignore SIGTERM
// (-deaf).
func Main(tests interface{ Run() int }) int {
	if args := os.Args[1:]; slices.Contains(args, "-data") {
		return play(args)
	}
	return tests.Run()
}

func play(args []string) int {
	fs := flag.NewFlagSet("fake", flag.ExitOnError)
	name, listen := fs.String("name", "", ""), fs.String("listen", "", "")
	monitors := fs.String("monitors", "", "")
	die := fs.String("die", "", "")
	deaf := fs.Bool("deaf", false, "")
	fs.String("data", "", "")
	fs.String("peers", "", "")
	fs.String("profile", "", "")
	fs.Bool("allow-kill", false, "")
	fs.Int("want-copies", 0, "")
	_ = fs.Parse(args)
	fmt.Println(*name + " starts")
	if *die != "" {
		fmt.Fprint(os.Stderr, *die)
		return 7
	}
	if *deaf {
		signal.Ignore(syscall.SIGTERM)
	}
	if *monitors != "" {
		return playNode(*name, strings.Split(*monitors, ",")[0])
	}
	return playMonitor(*listen)
}

// playNode tells the monitor that it lives, every 10 ms.
func playNode(name, monitor string) int {
	for {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+monitor+"/alive/"+name, nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// playMonitor makes the lowest name heard within 200 ms the primary.
func playMonitor(listen string) int {
	var mu sync.Mutex
	heard := map[string]time.Time{}
	err := http.ListenAndServe(listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if name, ok := strings.CutPrefix(r.URL.Path, "/alive/"); ok {
			heard[name] = time.Now()
			return
		}
		g := wire.GroupView{Epoch: 1, Failover: wire.FailoverView{Reason: "no node has joined"}}
		for n, at := range heard {
			if time.Since(at) < 200*time.Millisecond {
				g.InSync = append(g.InSync, n)
			}
		}
		slices.Sort(g.InSync)
		if len(g.InSync) > 0 {
			g.Primary, g.Serving = g.InSync[0], true
		}
		_ = json.NewEncoder(w).Encode(wire.Cluster{Leader: "m1", Groups: []wire.GroupView{g}})
	}))
	fmt.Fprintln(os.Stderr, err)
	return 1
}
