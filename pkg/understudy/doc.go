// Package understudy is the client library of Understudy, a key/value map that
// stays available when a machine dies.
//
//	c, err := understudy.Open(understudy.Options{Monitors: []string{"127.0.0.1:8080"}})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	etag, err := c.Put(ctx, "name", []byte("Ada"))
//	entry, err := c.Get(ctx, "name")
//
// # What it promises
//
// No request fails because of one failover: while the primary is being replaced
// a request is held, for ten seconds unless the options say otherwise, and then
// carried out by the next primary. Every write has an id, and the group applies
// it exactly once, however often it had to be sent. Reads are linearizable: they
// return nothing older than the newest write that was acknowledged before they
// began. [Stale] and [Session] ask for less.
//
// # Errors
//
// Every refusal is a *problem.Error with a code and a sentence; [errors.As] finds
// it, and [errors.Is] knows the frequent ones: [ErrNotFound], [ErrPrecondition],
// [ErrOutcomeUnknown]. Where the hold has passed without an answer to a write,
// or the context has ended first, the error says which of two is true: either
// nothing was applied (code no_primary), or nobody can tell any more
// (outcome_unknown). In the second case [RetryKey] returns a key; the same call
// with [IdempotencyKey] and that key asks again, and applies the write only if it
// was not applied before.
//
// # How it finds its way
//
// A client keeps one stream of events open to one of the monitors, and turns to
// the next one when it falls silent for a second. Requests go directly to the
// primary, many at once on two connections. If the primary serves and cannot be
// reached from here, they go through a monitor until it can. If no monitor can
// be reached and the primary can, nothing is lost but the news of the next
// failover.
//
// # Following changes
//
// [Client.Watch] yields the state and then every change of it, in order, each
// once, and goes on through failovers.
package understudy
