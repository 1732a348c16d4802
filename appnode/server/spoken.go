package server

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"understudy.example/pkg/wire"
)

// spoken is the heartbeat that this node sends to all monitors at the same moment,
// encoded once.
type spoken struct {
	mu   sync.Mutex // guards the fields below
	at   time.Time
	text []byte // replaced, never changed
}

// json returns the newest heartbeat: one that was encoded a moment ago, or what
// status says now.
func (s *spoken) json(status func() wire.Heartbeat) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.at) < saidFor {
		return s.text, nil
	}
	at := time.Now()
	text, err := json.Marshal(status())
	if err != nil {
		return nil, fmt.Errorf("encode a heartbeat: %w", err)
	}
	s.at, s.text = at, text
	return text, nil
}

// forget has the next heartbeat say what is true now.
func (s *spoken) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = time.Time{}
}
