// Package hook tells the world outside what happened to the cluster: it runs a
// command, or calls a signed webhook, for every change of the primary and whenever
// there is no spare to take the place of a missing member. It reads the history, so
// nothing of the cluster ever waits for it.
package hook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/pkg/protocol"
)

const (
	// tryFor bounds one attempt, and tries how many there are, each after a pause
	// that doubles from firstPause.
	tryFor     = 5 * time.Second
	tries      = 4
	firstPause = time.Second
	// freshFor is how old an event may be: a monitor that begins to lead reads the
	// whole history, and what is long past has been told.
	freshFor = time.Minute
)

// HeaderSignature carries "sha256=" and the HMAC-SHA256 of the body under the
// webhook's secret, in hexadecimal digits.
const HeaderSignature = "Understudy-Signature"

// Event is what a hook is told, as JSON: a command on its standard input, a webhook
// in the body.
type Event struct {
	V       int              `json:"v"`
	ID      uint64           `json:"id"` // of the line in the history: the same event has the same id
	Event   string           `json:"event"`
	Cluster string           `json:"cluster"`
	Group   protocol.GroupID `json:"group"`
	Epoch   protocol.Epoch   `json:"epoch"`
	Node    string           `json:"node"`
	Detail  string           `json:"detail"`
	At      time.Time        `json:"at"`
}

// Options is what [New] needs.
type Options struct {
	Command string // run by the shell; empty: none
	URL     string // of a webhook; empty: none
	Secret  []byte // signs what the webhook is sent
	// News returns the cluster's id and history, and a channel that is closed when
	// there is something newer; nil: there never will be.
	News func() (cluster string, history []protocol.HistoryEvent, changed <-chan struct{})
	// Leads tells whether this monitor leads: the others tell nobody.
	Leads   func() bool
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Metrics *Metrics
	Log     zerolog.Logger
}

// Hook tells of events. Run it in one goroutine.
type Hook struct {
	opts   Options
	client *http.Client
}

// New returns a hook.
func New(o Options) *Hook {
	return &Hook{opts: o, client: &http.Client{Transport: &http.Transport{DialContext: o.Dial, DisableKeepAlives: true}}}
}

// Run tells of what happens, in order, until ctx ends or there is no news any more.
// An event belongs to whoever leads when it happens: one that has started again may
// tell of the last minute once more, under the same ids, and what a leader dies over
// nobody tells. That there is no spare, the next leader finds out for itself.
func (h *Hook) Run(ctx context.Context) error {
	if h.opts.Command == "" && h.opts.URL == "" {
		return nil
	}
	told := uint64(0)
	for {
		cluster, history, changed := h.opts.News()
		for _, e := range history {
			if e.ID > told && isTold(e.Kind) && time.Since(e.At) < freshFor && h.opts.Leads() {
				h.tell(ctx, eventOf(cluster, e))
			}
		}
		told = max(told, newest(history))
		if changed == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

func newest(history []protocol.HistoryEvent) uint64 {
	if len(history) == 0 {
		return 0
	}
	return history[len(history)-1].ID
}

func isTold(kind string) bool {
	return slices.Contains([]string{protocol.KindFailover, protocol.KindSwitchover, protocol.KindOverride, protocol.KindNoSpare}, kind)
}

func eventOf(cluster string, e protocol.HistoryEvent) Event {
	return Event{V: 1, ID: e.ID, Event: e.Kind, Cluster: cluster, Group: e.Group, Epoch: e.Epoch, Node: e.Node, Detail: e.Detail, At: e.At}
}

// tell brings an event to every hook there is.
func (h *Hook) tell(ctx context.Context, e Event) {
	body, err := json.Marshal(e)
	if err != nil {
		h.opts.Log.Error().Err(err).Msg("event not encoded")
		return
	}
	if h.opts.Command != "" {
		h.try(ctx, e, hookCommand, func(ctx context.Context) error { return h.run(ctx, e, body) })
	}
	if h.opts.URL != "" {
		h.try(ctx, e, hookWebhook, func(ctx context.Context) error { return h.post(ctx, body) })
	}
}

// try does it until it succeeds, or gives it up.
func (h *Hook) try(ctx context.Context, e Event, what string, do func(context.Context) error) {
	log := h.opts.Log.With().Str("hook", what).Str("event", e.Event).Uint64("id", e.ID).Logger()
	pause := firstPause
	for n := 1; ; n++ {
		bounded, cancel := context.WithTimeout(ctx, tryFor)
		err := do(bounded)
		cancel()
		switch {
		case err == nil:
			h.opts.Metrics.told(what)
			log.Info().Msg("hook told")
			return
		case ctx.Err() != nil:
			return
		case n == tries:
			h.opts.Metrics.givenUp(what)
			log.Error().Err(err).Int("tries", n).Msg("hook given up")
			return
		}
		log.Warn().Err(err).Int("try", n).Msg("hook failed, trying again")
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		h.opts.Metrics.again(what)
		pause *= 2
	}
}

// run runs the command, with the event in its environment and on its standard input.
func (h *Hook) run(ctx context.Context, e Event, body []byte) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", h.opts.Command)
	cmd.Env = append(os.Environ(), "UNDERSTUDY_EVENT="+e.Event, "UNDERSTUDY_NODE="+e.Node, "UNDERSTUDY_DETAIL="+e.Detail)
	cmd.Stdin = bytes.NewReader(body)
	cmd.WaitDelay = time.Second // a grandchild that holds the pipe
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("run the command: %w: %s", err, out.text)
	}
	return nil
}

// tail keeps the beginning of what a command says.
type tail struct{ text []byte }

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	const most = 500
	t.text = append(t.text, b[:min(len(b), most-min(most, len(t.text)))]...)
	return len(b), nil
}

func (h *Hook) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.opts.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if len(h.opts.Secret) > 0 {
		req.Header.Set(HeaderSignature, Sign(h.opts.Secret, body))
	}
	res, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // the status says it all
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return errors.New("the webhook answers " + res.Status)
	}
	return nil
}

// Sign returns the value of HeaderSignature for a body.
func Sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}
