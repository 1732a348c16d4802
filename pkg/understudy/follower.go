package understudy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/rs/zerolog"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/sse"
	"understudy.example/pkg/wire"
)

// How a monitor is followed.
const (
	keepAlive = 300 * time.Millisecond // how often it shows that it lives
	// silence is how long a monitor may say nothing, also when it is asked first,
	// until the next one is asked.
	silence = time.Second
	// adrift is how long the primary may not be found with what one monitor says
	// until another one is asked.
	adrift = 500 * time.Millisecond
	// minPause and maxPause bound the wait after all monitors have failed.
	minPause = 20 * time.Millisecond
	maxPause = 500 * time.Millisecond

	maxEvent   = 1 << 20 // bytes of an event
	maxProblem = 64 << 10
)

var (
	errSilent = errors.New("it has been silent for " + silence.String())
	errAdrift = errors.New("what it says does not lead to the primary")
	errEnded  = errors.New("it ended the stream of events")
)

// follower keeps the directory true, with one stream of events from any of the
// monitors.
type follower struct {
	directory *directory
	monitors  []string
	http      *http.Client
	open      func() bool // the primary is known to serve
	log       zerolog.Logger
}

// run follows one monitor after the other until ctx ends.
func (f *follower) run(ctx context.Context) {
	failures := 0 // in a row
	for i := 0; ; i++ {
		monitor := f.monitors[i%len(f.monitors)]
		told, err := f.listen(ctx, monitor)
		if ctx.Err() != nil {
			return
		}
		f.directory.lost(fmt.Errorf("%s: %w", monitor, err))
		if failures++; told {
			failures = 1
		}
		f.log.Info().Str("monitor", monitor).Err(err).Msg("monitor lost")
		if !wait(ctx, f.pause(failures)) {
			return
		}
	}
}

// pause returns how long to wait after so many failures in a row: not at all as
// long as there is a monitor that was not asked since.
func (f *follower) pause(failures int) time.Duration {
	rounds := failures / len(f.monitors)
	switch {
	case rounds == 0:
		return 0
	case rounds > 5:
		return maxPause
	}
	return min(minPause<<(rounds-1), maxPause)
}

// wait reports false if ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// listen takes one monitor's events until they end, and tells why they did, and
// whether it had told anything.
func (f *follower) listen(ctx context.Context, monitor string) (told bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alarm := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer alarm.Stop()
	res, err := getStream(ctx, f.http, monitor, wire.PathEvents+"?"+url.Values{wire.QueryKeepAlive: {keepAlive.String()}}.Encode(), nil)
	if err != nil {
		return false, reason(ctx, err)
	}
	defer res.Body.Close()
	in := sse.NewReader(res.Body, maxEvent)
	lostAt := time.Now()
	for {
		e, err := in.Next()
		if err != nil {
			return told, reason(ctx, err)
		}
		alarm.Reset(silence)
		if e.Name == wire.EventPrimary {
			if err := f.hear(monitor, e.Data); err != nil {
				return told, err
			}
			told = true
		}
		switch now := time.Now(); {
		case f.open():
			lostAt = now
		case len(f.monitors) > 1 && now.Sub(lostAt) >= adrift:
			return told, errAdrift
		}
	}
}

// hear takes one event.
func (f *follower) hear(monitor string, data []byte) error {
	var e wire.PrimaryEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("read an event: %w", err)
	}
	if e.Group != 0 {
		return nil
	}
	before, _ := f.directory.Primary()
	if err := f.directory.take(monitor, e); err != nil {
		return err
	}
	if after, _ := f.directory.Primary(); after != before {
		f.log.Info().Str("primary", after.Name).Str("address", after.Address).Uint64("epoch", uint64(after.Epoch)).
			Str("monitor", monitor).Msg("primary learnt")
	}
	return nil
}

// reason returns why a request was given up, where its context knows better.
func reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errEnded
	}
	return err
}

// getStream asks for a stream of events. The error is a *problem.Error where the
// answer is no such stream.
func getStream(ctx context.Context, client *http.Client, address, target string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+target, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for events: %w", err)
	}
	maps.Copy(req.Header, header)
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for events: %w", err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxProblem)) // the status tells enough
	return nil, &refused{res.StatusCode, problem.Parse(res.StatusCode, res.Header, body)}
}

// refused is an answer that is no stream.
type refused struct {
	status  int
	problem *problem.Error
}

// Error implements error.
func (r *refused) Error() string { return r.problem.Error() }

// Unwrap returns the answer's own error.
func (r *refused) Unwrap() error { return r.problem }
