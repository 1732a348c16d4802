package store

import (
	"fmt"

	"understudy.example/pkg/protocol"
)

// ApplyBatch applies a batch record: its request id, empty if the request had
// none, and its payload. An error leaves the map as it was. Both are copied, so
// the caller may reuse their buffers.
func (m *Map) ApplyBatch(pos protocol.Position, requestID, payload []byte) error {
	if err := m.follows(pos); err != nil {
		return err
	}
	// All is checked before the first op is applied: all of a batch or nothing.
	if err := checkBatch(payload); err != nil {
		return fmt.Errorf("apply record %s: %w", pos, err)
	}
	var a answered
	if len(requestID) > 0 {
		var err error
		if a, err = parseAnswered(requestID); err == nil {
			err = m.ids.check(a, pos)
		}
		if err != nil {
			return fmt.Errorf("apply record %s: %w", pos, err)
		}
	}
	r, _ := openBatch(payload)
	for range r.count {
		op, _ := r.next()
		text := string(op.text)
		if op.delete {
			m.remove(text)
		} else {
			m.set(text[:op.key], text[op.key:], pos)
		}
	}
	m.position, m.time = pos, max(m.time, r.time)
	if len(requestID) > 0 {
		m.ids.apply(a, pos, m.time)
	}
	m.ids.expire(pos.Seq, m.time)
	return nil
}

func checkBatch(payload []byte) error {
	r, err := openBatch(payload)
	if err != nil {
		return err
	}
	for range r.count {
		if _, err := r.next(); err != nil {
			return err
		}
	}
	return r.end()
}

// ApplyProfile applies the payload of a profile record: the profile as JSON.
// The first profile of a group brings its initial map with it: the keys that
// are absent are set. An error leaves the map as it was.
func (m *Map) ApplyProfile(pos protocol.Position, payload []byte) error {
	if err := m.follows(pos); err != nil {
		return err
	}
	p, err := ParseProfile(payload)
	if err != nil {
		return fmt.Errorf("apply record %s: %w", pos, err)
	}
	if m.profile == nil {
		for key, value := range p.initial {
			if _, ok := m.Get(key); !ok {
				m.set(key, value, pos)
			}
		}
	}
	m.position, m.profile = pos, p
	return nil
}

// ApplyEpochStart applies the record that begins an epoch. It changes nothing
// but the position.
func (m *Map) ApplyEpochStart(pos protocol.Position) error {
	if err := m.follows(pos); err != nil {
		return err
	}
	m.position = pos
	return nil
}

// follows asserts that records are applied in the order of the journal, each
// once.
func (m *Map) follows(pos protocol.Position) error {
	if pos.Seq != m.position.Seq+1 || pos.Epoch < m.position.Epoch {
		return fmt.Errorf("record %s does not follow %s: records are applied in order", pos, m.position)
	}
	return nil
}
