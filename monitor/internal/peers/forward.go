package peers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"understudy.example/pkg/caller"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

const (
	// leaderWait is how long a request waits for an election.
	leaderWait = time.Second
	leaderPoll = 10 * time.Millisecond
	// maxForwarded bounds the body of a request that is passed on, in bytes, and
	// forwardTimeout the wait for its answer.
	maxForwarded   = 1 << 20
	forwardTimeout = 12 * time.Second
)

// AtLeader has next answer at the leader: another monitor passes the request on,
// once.
func (p *Peers) AtLeader(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		through := r.Header.Get(wire.HeaderForwarded)
		if !p.Registry.Leader() {
			body, err := io.ReadAll(http.MaxBytesReader(w, io.NopCloser(caller.Body(w, r, maxForwarded)), maxForwarded))
			if err != nil {
				problem.Write(w, problem.Errorf(problem.BadRequest, "the message cannot be read, or is over %d bytes: %v", maxForwarded, err))
				return
			}
			r.Body = caller.Whole(body)
			if done := p.forward(w, r, body, through); done {
				return
			}
		}
		if through != "" {
			r.RemoteAddr = through // for people: who asked
		}
		next.ServeHTTP(w, r)
	})
}

// forward passes a request on to the leader. It has not if this monitor leads.
func (p *Peers) forward(w http.ResponseWriter, r *http.Request, body []byte, through string) (done bool) {
	ctx, cancel := context.WithTimeout(r.Context(), leaderWait)
	defer cancel()
	for {
		address, ok := p.awaitLeader(ctx)
		switch {
		case p.Registry.Leader():
			return false
		case !ok:
			problem.Write(w, problem.Errorf(problem.NoLeader, "the monitors have no leader that %s can reach: wait for an election, or see to it that a majority of them runs and is connected", p.Name))
			return true
		case through != "":
			problem.Write(w, problem.Errorf(problem.NoLeader, "%s was asked as the leader and is not any more: ask again", p.Name))
			return true
		}
		res, err := p.pass(r, address, body)
		if err == nil {
			relay(w, res)
			return true
		}
		if dial, ok := errors.AsType[*net.OpError](err); !ok || dial.Op != "dial" {
			problem.Write(w, problem.Errorf(problem.OutcomeUnknown, "the leader at %s was lost before it answered: %v", address, err))
			return true
		}
		pause(ctx) // it has not got the request: whoever leads next may
	}
}

// awaitLeader waits until another monitor is known to lead, or this one does.
func (p *Peers) awaitLeader(ctx context.Context) (address string, ok bool) {
	for {
		address = p.Registry.LeaderAddress()
		if p.Registry.Leader() || address != "" && p.Registry.LeaderName() != p.Name {
			return address, ctx.Err() == nil
		}
		if !pause(ctx) {
			return "", false
		}
	}
}

// awaitOther waits until another monitor is known to lead. One that has just handed the
// leadership over may hold itself for the leader a moment longer.
func (p *Peers) awaitOther(ctx context.Context) (address string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, leaderWait)
	defer cancel()
	for {
		address, name := p.Registry.LeaderAddress(), p.Registry.LeaderName()
		if address != "" && name != "" && name != p.Name && !p.Registry.Leader() {
			return address, true
		}
		if !pause(ctx) {
			return "", false
		}
	}
}

func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(leaderPoll):
		return true
	}
}

// pass sends the request to the leader.
func (p *Peers) pass(r *http.Request, address string, body []byte) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), forwardTimeout)
	out, err := http.NewRequestWithContext(ctx, r.Method, "http://"+address+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		cancel()
		return nil, err
	}
	out.Header = r.Header.Clone()
	out.Header.Del("Connection")
	out.Header.Del("Origin") // judged here: at the leader's address, this monitor's own would be a foreign one
	out.Header.Set(wire.HeaderForwarded, r.RemoteAddr+" through "+p.Name)
	res, err := p.client.Do(out)
	if err != nil {
		cancel()
		return nil, err
	}
	res.Body = &closing{res.Body, cancel}
	return res, nil
}

// closing ends the wait for an answer with its body.
type closing struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements [io.Closer].
func (c *closing) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}

// relay hands the leader's answer to the caller.
func relay(w http.ResponseWriter, res *http.Response) {
	defer res.Body.Close()
	for name, values := range res.Header {
		if name != "Connection" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(caller.Answer(w, int(res.ContentLength)), res.Body) // the caller may be gone: there is nobody left to tell
}
