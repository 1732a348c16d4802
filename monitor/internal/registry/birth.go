package registry

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// Raft's own names in its stable store.
const (
	keyTerm     = "CurrentTerm"
	keyVoteTerm = "LastVoteTerm"
)

// Born tells whether this monitor takes part in a registry, or has ever done so:
// it has a log, or knows of a term. A monitor that lost its disk is not born, and
// the others are.
func (r *Registry) Born() bool { return r.raft.CurrentTerm() > 0 || r.raft.LastIndex() > 0 }

// Begin is the first birth of a registry of several monitors: the voters, this one
// among them, are written to the empty log. Only one of them may do so, when all
// are known not to be born. Afterwards it is refused.
func (r *Registry) Begin(voters []Member) error {
	var conf raft.Configuration
	for _, m := range voters {
		conf.Servers = append(conf.Servers, raft.Server{ID: raft.ServerID(m.ID), Address: voterAddress(m)})
	}
	if !r.begin() {
		return ErrClosed
	}
	defer r.pending.Done()
	if err := r.raft.BootstrapCluster(conf).Error(); err != nil {
		return fmt.Errorf("begin the registry: %w", err)
	}
	return nil
}

// forgetHalfBirth undoes a birth that a crash cut off: it writes the term first,
// and without a log and a vote the first term was entered by nobody else.
func forgetHalfBirth(store *raftboltdb.BoltStore) error {
	last, err := store.LastIndex()
	if err != nil || last > 0 {
		return err
	}
	term, err := number(store, keyTerm)
	if err != nil || term != 1 {
		return err
	}
	if vote, err := number(store, keyVoteTerm); err != nil || vote > 0 {
		return err
	}
	return store.SetUint64([]byte(keyTerm), 0)
}

func number(store *raftboltdb.BoltStore, key string) (uint64, error) {
	n, err := store.GetUint64([]byte(key))
	if errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return 0, nil
	}
	return n, err
}
