package understudy_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"time"

	"understudy.example/pkg/understudy"
)

// Example writes and reads a key of a cluster that is played in memory. An
// application's options are
//
//	understudy.Options{Monitors: []string{"127.0.0.1:8080"}}
func Example() {
	options, stop := understudy.FakeCluster()
	defer stop()
	c, err := understudy.Open(options)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	etag, err := c.Put(ctx, "name", []byte("Ada"), understudy.IfAbsent())
	if err != nil {
		log.Fatal(err)
	}
	entry, err := c.Get(ctx, "name")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, unchanged: %t\n", entry.Value, entry.ETag == etag)

	_, err = c.Get(ctx, "surname")
	fmt.Println(errors.Is(err, understudy.ErrNotFound), err)
	// Output:
	// Ada, unchanged: true
	// true there is no key "surname"
}

// ExampleClient_Put counts a key up, however many others do the same. It needs a
// cluster.
func ExampleClient_Put() {
	c, err := understudy.Open(understudy.Options{Monitors: []string{"127.0.0.1:8080", "127.0.0.1:8090"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	for {
		condition, n := understudy.IfAbsent(), 0
		switch entry, err := c.Get(ctx, "visits"); {
		case err == nil:
			n, _ = strconv.Atoi(string(entry.Value))
			condition = understudy.IfMatch(entry.ETag)
		case !errors.Is(err, understudy.ErrNotFound):
			log.Fatal(err)
		}
		_, err := c.Put(ctx, "visits", []byte(strconv.Itoa(n+1)), condition)
		if err == nil {
			return
		}
		if !errors.Is(err, understudy.ErrPrecondition) {
			log.Fatal(err)
		}
		// Somebody else has counted: look again.
	}
}

// ExampleClient_Update changes several keys at once. It needs a cluster.
func ExampleClient_Update() {
	c, err := understudy.Open(understudy.Options{Monitors: []string{"127.0.0.1:8080"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	name := "Ada"
	state, err := c.Update(context.Background(), map[string]*string{"name": &name, "nickname": nil})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(state), "keys")
}

// ExampleClient_Watch keeps a copy of all settings. It needs a cluster.
func ExampleClient_Watch() {
	c, err := understudy.Open(understudy.Options{Monitors: []string{"127.0.0.1:8080"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	settings := map[string]string{}
	for event, err := range c.Watch(context.Background(), "settings/") {
		if err != nil {
			log.Fatal(err)
		}
		if event.Reset {
			clear(settings)
		}
		for _, change := range event.Changes {
			if change.Deleted {
				delete(settings, change.Key)
				continue
			}
			settings[change.Key] = string(change.Value)
		}
	}
}

// ExampleRetryKey asks again for a write of which nobody could tell whether it
// was applied, perhaps because the cluster was down for longer than the hold. It
// needs a cluster.
func ExampleRetryKey() {
	c, err := understudy.Open(understudy.Options{Monitors: []string{"127.0.0.1:8080"}, Hold: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	_, err = c.Put(ctx, "name", []byte("Ada"))
	for errors.Is(err, understudy.ErrOutcomeUnknown) {
		_, err = c.Put(ctx, "name", []byte("Ada"), understudy.IdempotencyKey(understudy.RetryKey(err)))
	}
	if err != nil {
		log.Fatal(err)
	}
}

// ExampleSession reads what this client itself has written, without asking the
// standbys for leave. It needs a cluster.
func ExampleSession() {
	c, err := understudy.Open(understudy.Options{Monitors: []string{"127.0.0.1:8080"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	if _, err := c.Put(ctx, "name", []byte("Ada")); err != nil {
		log.Fatal(err)
	}
	entry, err := c.Get(ctx, "name", understudy.Session(c.Position()))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", entry.Value)
}
