package understudy

import (
	"context"
	"net/http"

	"understudy.example/pkg/link"
	"understudy.example/pkg/memnet"
)

// FakeCluster starts a node and a monitor in memory, for the examples.
func FakeCluster() (o Options, stop func()) {
	network := memnet.New(1)
	n := &node{group: newGroup(), name: "a"}
	n.group.leads("a")
	links := link.NewServer(http.HandlerFunc(n.ServeHTTP), link.ServerOptions{})
	mux := http.NewServeMux()
	mux.Handle(link.Path, links)
	mux.Handle("/", n)
	m := &monitor{changed: make(chan struct{})}
	m.say("a", 1, true)
	servers := map[string]*http.Server{"a:8081": {Handler: mux}, "m1:8080": {Handler: m}}
	for address, server := range servers {
		ln, err := network.Host(address[:len(address)-len(":8080")]).Listen(context.Background(), address)
		if err != nil {
			panic(err)
		}
		go func() { _ = server.Serve(ln) }()
	}
	return Options{Monitors: []string{"m1:8080"}, Dial: network.Host("client").Dial}, func() {
		for _, server := range servers {
			_ = server.Close()
		}
		links.Close()
		network.Close()
	}
}
