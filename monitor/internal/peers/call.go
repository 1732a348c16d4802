package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/wire"
)

// maxAnswer bounds what is read of another monitor's answer, in bytes.
const maxAnswer = 4 << 20

// ask asks the monitor at an address who it is.
func (p *Peers) ask(ctx context.Context, address string) (wire.MonitorSelf, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var self wire.MonitorSelf
	err := p.call(ctx, http.MethodGet, address, wire.PathMonitor, nil, &self)
	if err == nil {
		err = wire.CheckFormat(self.V)
	}
	return self, err
}

// call sends another monitor a message, nil for none, and reads its answer into
// out.
func (p *Peers) call(ctx context.Context, method, address, path string, message, out any) error {
	var body []byte
	if message != nil {
		var err error
		if body, err = json.Marshal(message); err != nil {
			return problem.Errorf(problem.BadRequest, "encode for %s: %v", path, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, bytes.NewReader(body))
	if err != nil {
		return problem.Errorf(problem.BadRequest, "address %q: %v", address, err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := p.client.Do(req)
	if err != nil {
		return problem.Errorf(problem.NoLeader, "%s does not answer: %v", address, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return problem.Errorf(problem.NoLeader, "%s does not answer: %v", address, err)
	case res.StatusCode >= http.StatusBadRequest:
		return problem.Parse(res.StatusCode, res.Header, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return problem.Errorf(problem.BadRequest, "the answer of %s is not valid: %v", address, err)
	}
	return nil
}
