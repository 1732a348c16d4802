package server

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/rs/zerolog"

	"understudy.example/monitor/internal/hook"
	"understudy.example/pkg/protocol"
)

// Hook is who outside the cluster is told what happens. Empty: nobody.
type Hook struct {
	Command string // run by the shell, with the event as JSON on its standard input
	URL     string // of a webhook that takes the event as JSON
	Secret  []byte // signs what the webhook is sent
}

func (h Hook) validate() error {
	if h.URL == "" {
		if len(h.Secret) > 0 {
			return errors.New("-webhook-secret-file belongs to -webhook: give the URL as well")
		}
		return nil
	}
	if u, err := url.Parse(h.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("-webhook %q is not a URL such as https://example.org/understudy", h.URL)
	}
	return nil
}

// newHook builds what tells of the monitor's news.
func (m *monitor) newHook(o Options, log zerolog.Logger) *hook.Hook {
	return hook.New(hook.Options{
		Command: o.Hook.Command, URL: o.Hook.URL, Secret: o.Hook.Secret,
		News: func() (string, []protocol.HistoryEvent, <-chan struct{}) {
			primary, history, changed := m.coordinator.News()
			return primary.Cluster, history, changed
		},
		Leads: m.registry.Leader, Dial: o.Network.Dial, Metrics: m.hooks, Log: log.With().Str("component", "hook").Logger(),
	})
}
