package command

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"understudy.example/client/internal/api"
	"understudy.example/client/internal/pairs"
	"understudy.example/client/internal/show"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// action is one invocation with what it needs.
type action struct {
	Process
	in  *invocation
	api *api.Client
}

func (a action) run(ctx context.Context) error {
	switch a.in.action {
	case "update":
		return a.update(ctx)
	case "get-state":
		return a.getState(ctx)
	case "get":
		return a.get(ctx)
	case "put":
		return a.put(ctx)
	case "delete":
		return a.delete(ctx)
	case "status":
		return a.status(ctx)
	case "history":
		return a.history(ctx)
	case "watch":
		return a.watch(ctx)
	case "events":
		return a.events(ctx)
	case "explain":
		return a.explain(ctx)
	case "switchover":
		return a.changePrimary(ctx, a.api.Switchover)
	case "failover":
		return a.changePrimary(ctx, a.api.Failover)
	case "maintenance":
		return a.maintenance(ctx)
	case "add-monitor":
		return a.addMonitor(ctx)
	case "remove-monitor":
		return a.monitors(a.api.RemoveMonitor(ctx, a.in.operand))
	case "remove":
		return a.remove(ctx)
	case "adopt":
		return a.adopt(ctx)
	case "pause":
		return a.pause(ctx, true)
	case "resume":
		return a.pause(ctx, false)
	case "freeze":
		return a.freeze(ctx)
	case "kill-primary":
		return a.killPrimary(ctx)
	case "kill":
		return a.kill(ctx)
	}
	panic("an action without code: " + a.in.action)
}

// update reads the whole file before anything is sent.
func (a action) update(ctx context.Context) error {
	changes, err := pairs.ReadFile(a.in.file, a.Stdin)
	if err != nil {
		return fmt.Errorf("%w (nothing was sent)", err)
	}
	state, err := a.api.Update(ctx, changes, pairs.MaxFile)
	if err != nil {
		return err
	}
	return show.JSON(a.Stdout, state)
}

func (a action) getState(ctx context.Context) error {
	state, err := a.api.State(ctx, a.in.operand)
	if err != nil {
		return err
	}
	return show.JSON(a.Stdout, state)
}

// get prints the exact bytes of the value and a newline.
func (a action) get(ctx context.Context) error {
	answer, err := a.api.Get(ctx, a.in.operand)
	switch {
	case problem.CodeOf(err) == problem.NotFound:
		return problem.Errorf(problem.NotFound, "there is no key %q", a.in.operand)
	case err != nil:
		return err
	case a.in.json:
		return show.JSON(a.Stdout, item(a.in.operand, answer))
	}
	_, err = a.Stdout.Write(append(answer.Body, '\n'))
	return err
}

func item(key string, answer *api.Answer) wire.Item {
	it := wire.Item{Key: key, ETag: answer.Header.Get("ETag")}
	if utf8.Valid(answer.Body) {
		it.Value = new(string(answer.Body))
	} else {
		it.Base64 = new(base64.StdEncoding.EncodeToString(answer.Body))
	}
	return it
}

func (a action) put(ctx context.Context) error {
	key, value, err := pairs.Split(a.in.operand)
	if err != nil {
		return err
	}
	answer, err := a.api.Put(ctx, key, value)
	if err != nil {
		return err
	}
	return a.written("set", key, answer)
}

func (a action) delete(ctx context.Context) error {
	answer, err := a.api.Delete(ctx, a.in.operand)
	switch {
	case problem.CodeOf(err) == problem.NotFound:
		return problem.Errorf(problem.NotFound, "there is no key %q", a.in.operand)
	case err != nil:
		return err
	}
	return a.written("deleted", a.in.operand, answer)
}

// written tells where a write stands and how many copies hold it.
func (a action) written(did, key string, answer *api.Answer) error {
	position := answer.Header.Get(wire.HeaderPosition)
	copies, _ := strconv.Atoi(answer.Header.Get(wire.HeaderCopies)) // 0: not told
	if a.in.json {
		return show.JSON(a.Stdout, struct {
			Key      string `json:"key"`
			Position string `json:"position"`
			Copies   int    `json:"copies"`
		}{key, position, copies})
	}
	_, err := fmt.Fprintf(a.Stdout, "%s %q at %s, copies: %d\n", did, key, position, copies)
	return err
}

func (a action) status(ctx context.Context) error {
	cluster, err := a.api.Cluster(ctx)
	if err != nil {
		return err
	}
	if a.in.json {
		return show.JSON(a.Stdout, cluster)
	}
	return show.Status(a.Stdout, cluster)
}

func (a action) history(ctx context.Context) error {
	history, err := a.api.History(ctx)
	if err != nil {
		return err
	}
	if a.in.json {
		return show.JSON(a.Stdout, history)
	}
	return show.History(a.Stdout, history)
}

func (a action) explain(ctx context.Context) error {
	explain, err := a.api.Explain(ctx)
	if err != nil {
		return err
	}
	if a.in.json {
		return show.JSON(a.Stdout, explain)
	}
	return show.Explain(a.Stdout, explain)
}

func (a action) kill(ctx context.Context) error {
	killed, err := a.api.Kill(ctx, a.in.operand)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.Stdout, "killed "+killed.Node)
	return err
}

var errNoGroup = errors.New("the monitor knows no group yet: no node has joined")
