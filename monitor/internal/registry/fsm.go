package registry

import (
	"fmt"
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"understudy.example/pkg/protocol"
)

// machine is the state machine that Raft drives: it calls Apply, Snapshot and
// Restore from one goroutine, in the order of the log.
type machine struct {
	state    atomic.Pointer[protocol.Registry]
	onChange func(protocol.Registry)
	failure  atomic.Pointer[error] // set once, before failed is closed
	failed   chan struct{}
}

// outcome is the answer to one command.
type outcome struct {
	state   protocol.Registry
	refusal *protocol.Refusal
	err     error
}

func newMachine(onChange func(protocol.Registry)) *machine {
	m := &machine{onChange: onChange, failed: make(chan struct{})}
	m.state.Store(&protocol.Registry{})
	return m
}

// Apply implements [raft.FSM]. A command that cannot be read stops the machine
// for good: to go on without it would make this monitor's state another than
// the others', and nobody would know.
func (m *machine) Apply(l *raft.Log) any {
	state := *m.state.Load()
	if err := m.err(); err != nil {
		return outcome{state: state, err: err}
	}
	c, err := decodeCommand(l.Data)
	if err != nil {
		m.fail(fmt.Errorf("log entry %d of the registry: %w", l.Index, err))
		return outcome{state: state, err: m.err()}
	}
	next, refusal := state.Apply(c)
	if refusal != nil {
		return outcome{state: state, refusal: refusal}
	}
	m.publish(next)
	return outcome{state: next}
}

func (m *machine) publish(next protocol.Registry) {
	m.state.Store(&next)
	m.onChange(next)
}

// Snapshot implements [raft.FSM]. A failed machine gives none, so that the log
// with the command it could not read is kept.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	if err := m.err(); err != nil {
		return nil, err
	}
	return snapshot{*m.state.Load()}, nil
}

// Restore implements [raft.FSM].
func (m *machine) Restore(source io.ReadCloser) error {
	state, err := decodeSnapshot(source)
	if err != nil {
		return err
	}
	m.publish(state)
	return nil
}

func (m *machine) fail(err error) {
	m.failure.Store(&err)
	close(m.failed)
}

func (m *machine) err() error {
	if p := m.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// snapshot is one immutable state on its way to the disk.
type snapshot struct{ state protocol.Registry }

// Persist implements [raft.FSMSnapshot].
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if err := encodeSnapshot(sink, s.state); err != nil {
		_ = sink.Cancel() // the first error is the one to tell
		return fmt.Errorf("write registry snapshot: %w", err)
	}
	if err := sink.Close(); err != nil {
		return fmt.Errorf("close registry snapshot: %w", err)
	}
	return nil
}

// Release implements [raft.FSMSnapshot]. A state is immutable and holds nothing.
func (snapshot) Release() {}
