package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"understudy.example/pkg/caller"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// maxMessage bounds the body of an internal message, in bytes.
const maxMessage = 1 << 20

func (a *API) heartbeat(w http.ResponseWriter, r *http.Request) {
	hb, err := readHeartbeat(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	assignment, err := a.coordinator.Heartbeat(heartbeatConn(r), hb)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.answer(w, r, assignment)
}

// heartbeats takes the heartbeats of one node on one connection, whose end is a sign
// in itself.
func (a *API) heartbeats(w http.ResponseWriter, r *http.Request) {
	conn := new(token)
	upgraded := a.beats.Serve(w, r, func(data []byte) (*wire.Assignment, error) {
		hb, err := decodeHeartbeat(data)
		if err != nil {
			return nil, err
		}
		word, err := a.coordinator.Heartbeat(conn, hb)
		return word, coded(err)
	})
	if upgraded && a.closed != nil {
		a.closed(conn)
	}
}

func readHeartbeat(w http.ResponseWriter, r *http.Request) (*wire.Heartbeat, error) {
	data, err := readMessage(w, r)
	if err != nil {
		return nil, err
	}
	return decodeHeartbeat(data)
}

// decodeHeartbeat reads a heartbeat. Fields that it does not know are left out
// of account: they are of a newer release with the same format.
func decodeHeartbeat(data []byte) (*wire.Heartbeat, error) {
	hb := new(wire.Heartbeat)
	if err := decode(data, hb, &hb.V); err != nil {
		return nil, err
	}
	if hb.Name == "" || hb.UUID == "" || hb.Boot == (protocol.Boot{}) || hb.Address == "" {
		return nil, problem.Errorf(problem.BadRequest, "a heartbeat must carry the node's name, uuid, boot and address")
	}
	return hb, nil
}

func (a *API) propose(w http.ResponseWriter, r *http.Request) {
	data, err := readMessage(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	p := new(wire.Proposal)
	if err := decode(data, p, &p.V); err != nil {
		a.fail(w, r, err)
		return
	}
	answer, err := a.coordinator.Propose(r.Context(), p)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.answer(w, r, answer)
}

func readMessage(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, io.NopCloser(caller.Body(w, r, maxMessage)), maxMessage))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, problem.Errorf(problem.TooLarge, "the message is over %d bytes", maxMessage)
	}
	if err != nil {
		return nil, problem.Errorf(problem.BadRequest, "the message cannot be read: %v", err)
	}
	return data, nil
}

// decode reads a message whose format version ends up in v. Where the whole
// cannot be read, the version alone may say why.
func decode(data []byte, message any, v *int) error {
	err := json.Unmarshal(data, message)
	if err == nil {
		return wire.CheckFormat(*v)
	}
	var version struct {
		V *int `json:"v"`
	}
	if json.Unmarshal(data, &version) == nil && version.V != nil {
		if other := wire.CheckFormat(*version.V); other != nil {
			return other
		}
	}
	return problem.Errorf(problem.BadRequest, "the message is not valid: %v", err)
}
