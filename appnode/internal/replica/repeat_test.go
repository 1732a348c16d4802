package replica

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/requestid"
)

// mine is a caller's own id.
func mine(key string) requestid.ID { return requestid.ID{Key: key} }

// seq is the end of a member's journal.
func (m *member) seq() protocol.Seq { return m.replica.Status().Position.Seq }

func TestRetryAfterALostAnswer(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		first := <-a.begin(r.put("k", "v").Named(mine("1"), 7))
		require.NoError(t, first.err)
		require.False(t, first.Repeated)
		a.write("k", "newer")
		end := a.seq()
		again := <-a.begin(r.put("k", "v").Named(mine("1"), 7))
		require.NoError(t, again.err)
		require.True(t, again.Repeated)
		require.Equal(t, first.Position, again.Position)
		require.Equal(t, 2, again.Copies)
		require.Equal(t, end, a.seq(), "nothing is recorded")
		require.Equal(t, "newer", a.has("k"))

		other := <-a.begin(r.put("k", "other").Named(mine("1"), 8))
		require.Equal(t, problem.IDReused, other.code())
		require.False(t, other.Repeated)
		require.NotNil(t, other.View, "it tells its position")
		require.Equal(t, end, a.seq())
	})
}

// All copies of a write end in one record, whether the first is committed, waits
// for its standby, or waits in the same queue.
func TestRetryWhileTheOriginalIsOnItsWay(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		end := a.seq()
		release := a.disk.Stall("journal sync")
		busy := a.begin(r.put("busy", "v")) // the others are one batch after it
		copies := []<-chan outcome{
			a.begin(r.create("k", "v").Named(mine("1"), 7)),
			a.begin(r.create("k", "v").Named(mine("1"), 7)),
		}
		release()
		require.NoError(t, (<-busy).err)
		first, second := <-copies[0], <-copies[1]
		require.NoError(t, first.err)
		require.NoError(t, second.err, "and not refused because of the first")
		require.Equal(t, first.Position, second.Position)
		require.Equal(t, []bool{false, true}, []bool{first.Repeated, second.Repeated})
		require.Equal(t, end+2, a.seq())

		r.desk.mute("a", true)
		r.net.Cut("b", "a") // b has it, and a does not learn so
		first0 := a.begin(r.create("l", "v").Named(mine("2"), 7))
		again := a.begin(r.create("l", "v").Named(mine("2"), 7))
		reused := a.begin(r.create("l", "v").Named(mine("2"), 8))
		time.Sleep(300 * time.Millisecond)
		require.Empty(t, first0)
		require.Empty(t, again, "nothing is said of what may be lost")
		require.Empty(t, reused)
		r.net.HealAll()
		first, second = <-first0, <-again
		require.NoError(t, first.err)
		require.NoError(t, second.err)
		require.Equal(t, first.Position, second.Position)
		require.True(t, second.Repeated)
		require.Equal(t, problem.IDReused, (<-reused).code())
		require.Equal(t, end+3, a.seq())
	})
}

// A repeat is an answer about the state: it is confirmed like a read. One that is
// not says what it cannot know, and how to ask again.
func TestRepeatIsConfirmed(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		r.desk.settings.Hold = protocol.Duration(time.Second)
		r.desk.tellAll()
		first := <-a.begin(r.put("k", "v").Named(mine("1"), 7))
		require.NoError(t, first.err)
		refused := <-a.begin(r.create("k", "v").Named(mine("2"), 7))
		require.Equal(t, problem.PreconditionFailed, refused.code())
		r.desk.mute("a", true)
		r.net.CutBoth("a", "b")
		r.desk.promote("b", "a")
		r.desk.waitInSync("b")
		again := a.begin(r.put("k", "v").Named(mine("1"), 7))
		denied := a.begin(r.create("k", "v").Named(mine("2"), 7))
		time.Sleep(300 * time.Millisecond)
		require.Empty(t, again, "a has been deposed and does not know it")
		require.Empty(t, denied)
		out := <-again
		require.Equal(t, problem.OutcomeUnknown, out.code(), "it may be applied, and this primary cannot say")
		require.Equal(t, "1", keyOf(t, out.err))
		require.Equal(t, problem.NoPrimary, (<-denied).code(), "it was certainly not applied")
	})
}

func keyOf(t *testing.T, err error) string {
	t.Helper()
	var p *problem.Error
	require.ErrorAs(t, err, &p)
	return p.Key
}

// What became unknown at the deposed primary is asked again at the new one, by
// the key that the answer named.
func TestRetryAcrossAFailover(t *testing.T) {
	for name, kept := range map[string]bool{"the standby has it": true, "the standby never got it": false} {
		t.Run(name, func(t *testing.T) {
			inPair(t, func(t *testing.T, r *rig, a, b *member) {
				a.write("k", "before")
				source := requestid.NewSource()
				source.Saw(a.seq())
				ticket := source.Next()
				r.desk.mute("a", true)
				if kept {
					r.net.Cut("b", "a")
				} else {
					r.net.CutBoth("a", "b")
				}
				first := a.begin(r.put("k", "v").Named(ticket.ID(), 7))
				plain := a.begin(r.put("other", "v"))
				at := a.replica.Status().Position
				r.desk.promote("b", "a")
				r.desk.mute("a", false)
				lost := <-first
				r.desk.waitInSync("b") // what is on its way from a comes too late
				r.net.HealAll()
				require.Equal(t, problem.OutcomeUnknown, lost.code())
				require.Equal(t, ticket.Key(), keyOf(t, lost.err))
				require.ErrorContains(t, lost.err, ticket.Key())
				require.Empty(t, keyOf(t, (<-plain).err), "it has no id to ask again with")
				r.desk.waitInSync("a", "b")

				id, err := requestid.ParseKey(keyOf(t, lost.err))
				require.NoError(t, err)
				end := b.seq()
				again := <-b.begin(r.put("k", "v").Named(id, 7))
				require.NoError(t, again.err)
				require.Equal(t, kept, again.Repeated)
				if kept {
					require.Equal(t, protocol.Position{Epoch: 1, Seq: at.Seq - 1}, again.Position)
					require.Equal(t, end, b.seq())
				} else {
					require.Equal(t, end+1, b.seq(), "it was set aside, so it is judged now")
				}
				third := <-b.begin(r.put("k", "v").Named(ticket.ID(), 7))
				require.True(t, third.Repeated)
				require.Equal(t, again.Position, third.Position)
				r.sameState(a, b)
			})
		})
	}
}

// A refusal, and a delete of nothing, are remembered: a copy that comes late,
// after the state has changed, is not judged by the new state.
func TestLateCopyOfARefusal(t *testing.T) {
	for name, failover := range map[string]bool{"same primary": false, "after a failover": true} {
		t.Run(name, func(t *testing.T) {
			inPair(t, func(t *testing.T, r *rig, a, b *member) {
				out := a.write("k", "1")
				end := a.seq()
				refusal := <-a.begin(r.create("k", "2").Named(mine("create"), 7))
				require.Equal(t, problem.PreconditionFailed, refusal.code())
				nothing := <-a.begin(deletion(r, "absent").Named(mine("delete"), 7))
				require.NoError(t, nothing.err)
				require.True(t, nothing.Missing)
				require.Equal(t, end+2, a.seq(), "both are recorded")
				require.Equal(t, out.Position.Epoch, nothing.Position.Epoch)
				require.NoError(t, (<-a.begin(deletion(r, "k"))).err)
				a.write("absent", "here now")

				m := a
				if failover {
					a.crash()
					r.desk.promote("b", "a")
					r.desk.waitInSync("b")
					m = b
				}
				late := <-m.begin(r.create("k", "2").Named(mine("create"), 7))
				require.Equal(t, problem.PreconditionFailed, late.code())
				require.True(t, late.Repeated)
				require.Empty(t, m.has("k"))
				late = <-m.begin(deletion(r, "absent").Named(mine("delete"), 7))
				require.NoError(t, late.err)
				require.True(t, late.Missing)
				require.True(t, late.Repeated)
				require.Equal(t, nothing.Position, late.Position)
				require.Equal(t, "here now", m.has("absent"))
				require.NoError(t, (<-m.begin(r.create("k", "2").Named(mine("other"), 7))).err, "another request is judged")
			})
		})
	}
}

// The answers are part of what a snapshot brings.
func TestSnapshotBringsTheAnswers(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		first := <-a.begin(r.put("k", "v").Named(mine("1"), 7))
		require.NoError(t, first.err)
		b.crash()
		r.desk.waitInSync("a")
		trimmed(r, a)
		b.start()
		r.desk.waitInSync("a", "b")
		require.Greater(t, b.journal.First(), first.Position.Seq, "it begins with the snapshot")
		a.crash()
		b.crash()
		b.start()
		r.desk.promote("b", "a")
		r.desk.waitInSync("b")
		again := <-b.begin(r.put("k", "v").Named(mine("1"), 7))
		require.NoError(t, again.err)
		require.True(t, again.Repeated)
		require.Equal(t, first.Position, again.Position)
	})
}

// A caller's key is remembered for ten minutes of the group's time, through
// changes of the primary, and a session for as long after its last use.
func TestWhatIsForgotten(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		source := requestid.NewSource()
		source.Saw(a.seq())
		ticket := source.Next()
		require.NoError(t, (<-a.begin(r.put("s", "1").Named(ticket.ID(), 7))).err)
		require.NoError(t, (<-a.begin(r.put("k", "1").Named(mine("1"), 7))).err)
		time.Sleep(5 * time.Minute)
		a.write("any", "u") // the next primary goes on from the time of the last record
		r.desk.promote("b")
		r.desk.waitInSync("a", "b")
		time.Sleep(5*time.Minute - time.Second)
		b.write("any", "v")
		require.True(t, (<-b.begin(r.put("k", "1").Named(mine("1"), 7))).Repeated)
		time.Sleep(2 * time.Second)
		require.True(t, (<-b.begin(r.put("k", "1").Named(mine("1"), 7))).Repeated, "time passes with records only")
		b.write("any", "w")
		again := <-b.begin(r.put("k", "1").Named(mine("1"), 7))
		require.NoError(t, again.err)
		require.False(t, again.Repeated, "it is another request now")

		for range 1024 {
			b.write("any", "x")
		}
		gone := <-b.begin(r.put("s", "1").Named(ticket.ID(), 7))
		require.Equal(t, problem.SessionExpired, gone.code())
		require.NotNil(t, gone.View)
		source.Saw(gone.View.Position().Seq)
		ticket = ticket.Renew()
		require.NoError(t, (<-b.begin(r.put("s", "2").Named(ticket.ID(), 7))).err)
		require.Equal(t, "2", b.has("s"))
	})
}

// A first hop that has not heard of the group yet learns where it is from the
// refusal of its first write.
func TestFirstWriteOfAStranger(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		ticket := requestid.NewSource().Next()
		out := <-a.begin(r.put("k", "v").Named(ticket.ID(), 7))
		require.Equal(t, problem.SessionExpired, out.code())
		require.Equal(t, a.seq(), out.View.Position().Seq)
		require.Empty(t, a.has("k"))
	})
}

// A write on too few copies is no success, and neither is its repeat until there
// are enough.
func TestRepeatOnTooFewCopies(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		r.desk.settings.MinCopies = 2
		r.desk.tellAll()
		r.desk.mute("a", true)
		r.net.CutBoth("a", "b")
		first := a.begin(r.put("k", "v").Named(mine("1"), 7))
		r.desk.mute("a", false)
		r.desk.waitInSync("a")
		require.Equal(t, problem.OutcomeUnknown, (<-first).code())
		require.Equal(t, problem.TooFewCopies, (<-a.begin(r.put("k", "v").Named(mine("1"), 7))).code())
		r.net.HealAll()
		r.desk.waitInSync("a", "b")
		again := <-a.begin(r.put("k", "v").Named(mine("1"), 7))
		require.NoError(t, again.err)
		require.True(t, again.Repeated)
		require.Equal(t, 2, again.Copies)
	})
}

// A batch that is judged and not appended, because the reign has ended meanwhile:
// what is new in it is certainly not applied, but the first copy of a repeat may
// be.
func TestRepeatInABatchThatIsNotAppended(t *testing.T) {
	fresh, again := &write{req: &store.Request{}, done: make(chan result, 1)}, &write{req: &store.Request{}, done: make(chan result, 1)}
	b := &batch{writes: []judged{{w: fresh, applied: true}, {w: again, applied: true, repeated: true}}}
	b.fail(problem.Errorf(problem.NotPrimary, "the reign is over"))
	require.Equal(t, problem.NotPrimary, problem.CodeOf((<-fresh.done).err))
	require.Equal(t, problem.OutcomeUnknown, problem.CodeOf((<-again.done).err))
}
