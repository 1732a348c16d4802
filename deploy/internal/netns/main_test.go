package netns

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"understudy.example/deploy/internal/isolate"
)

// unisolated is why there are no namespaces here; nil: there are.
var unisolated error

func TestMain(m *testing.M) {
	if address := os.Getenv("ECHO"); address != "" {
		fmt.Fprintln(os.Stderr, playEcho(address))
		os.Exit(1)
	}
	os.Exit(isolate.Main(true, func(missing error) int {
		unisolated = missing
		return m.Run()
	}))
}

// playEcho sends back what connections to the address send, until the process is
// ended.
func playEcho(address string) error {
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.WriteString("ready"); err != nil {
		return err
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(c, c) // the caller sees how it ends
			_ = c.Close()
		}()
	}
}
