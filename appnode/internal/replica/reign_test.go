package replica

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/memnet"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// A deposed primary says of what it appended that the outcome is unknown, and of
// what it had not begun that it was not done; at once, although its disk hangs.
func TestDeposedPrimaryTellsItsWriters(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		release := a.disk.Stall("journal sync")
		appended := a.begin(r.put("appended", "v"))
		queued := a.begin(r.put("queued", "v"))
		refused := a.begin(r.create("appended", "other"))
		r.desk.promote("b", "a")
		require.Equal(t, problem.OutcomeUnknown, (<-appended).code())
		require.Equal(t, problem.NotPrimary, (<-queued).code())
		require.Equal(t, problem.NotPrimary, (<-refused).code(), "it was judged on what may be lost")
		_, err := a.read(store.Linearizable, "appended")
		require.Error(t, err)
		release()
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
		require.Empty(t, a.has("queued"))
	})
}

// A refusal waits for the commit of what it was judged on: else a caller could
// be refused because of a write that never was.
func TestRefusalWaitsForWhatItWasJudgedOn(t *testing.T) {
	for _, deposed := range []bool{false, true} {
		name := "committed"
		if deposed {
			name = "deposed"
		}
		t.Run(name, func(t *testing.T) {
			inPair(t, func(t *testing.T, r *rig, a, b *member) {
				r.desk.mute("a", true)
				r.net.Cut("b", "a") // b has it, and a does not learn so
				write := a.begin(r.put("k", "v"))
				refusal := a.begin(r.create("k", "other"))
				nothing := a.begin(deletion(r, "not there"))
				time.Sleep(300 * time.Millisecond)
				require.Empty(t, write)
				require.Empty(t, refusal)
				require.Empty(t, nothing)
				if !deposed {
					r.net.HealAll()
					require.NoError(t, (<-write).err)
					require.Equal(t, problem.PreconditionFailed, (<-refusal).code())
					require.True(t, (<-nothing).Missing)
					return
				}
				r.desk.promote("b", "a")
				r.desk.mute("a", false)
				require.Equal(t, problem.OutcomeUnknown, (<-write).code())
				require.Equal(t, problem.NotPrimary, (<-refusal).code())
				require.Equal(t, problem.NotPrimary, (<-nothing).code())
			})
		})
	}
}

func deletion(r *rig, key string) *store.Request {
	req, err := store.Delete(key, store.Cond{})
	require.NoError(r.t, err)
	return req
}

// A write that waits for longer than the hold is told so; what becomes of it
// later is another matter.
func TestHoldExpires(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		r.desk.settings.Hold = protocol.Duration(300 * time.Millisecond)
		r.desk.mute("a", true)
		r.desk.mute("a", false) // the settings are told
		r.desk.mute("a", true)
		r.net.CutBoth("a", "b")
		out := <-a.begin(r.put("late", "v"))
		require.Equal(t, problem.OutcomeUnknown, out.code())
		require.InDelta(t, 0.3, out.took.Seconds(), 0.02)

		release := a.disk.Stall("journal sync")
		begun := a.begin(r.put("begun", "v"))
		queued := <-a.begin(r.put("queued", "v"))
		require.Equal(t, problem.Overloaded, queued.code())
		require.InDelta(t, 0.3, queued.took.Seconds(), 0.02)
		require.Equal(t, problem.OutcomeUnknown, (<-begun).code())
		release()

		r.desk.mute("a", false)
		r.net.HealAll()
		r.desk.waitInSync("a", "b")
		r.eventually("what was late is committed", func() bool { return b.has("late") == "v" && b.has("begun") == "v" })
		r.sameState(a, b)
		require.Empty(t, b.has("queued"))
	})
}

func TestCallerGoesAway(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		r.net.CutBoth("a", "b")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := a.replica.Write(ctx, r.put("k", "v"))
		require.Equal(t, problem.OutcomeUnknown, problem.CodeOf(err))
	})
}

func TestMinCopies(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		r.desk.settings.MinCopies = 2
		a.write("two", "v")
		b.crash()
		r.desk.waitInSync("a")
		out := <-a.begin(r.put("one", "v"))
		require.Equal(t, problem.TooFewCopies, out.code())
		require.Zero(t, out.took, "it is refused at once")
		got, err := a.read(store.Linearizable, "two")
		require.NoError(t, err)
		require.Equal(t, "v", got)
		b.start()
		r.desk.waitInSync("a", "b")
		a.write("again", "v")
	})
}

// Neither acknowledges nor reads: a primary that the others have left.
func TestPrimaryThatWasLeft(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		r.desk.settings.Hold = protocol.Duration(time.Second)
		r.desk.tellAll()
		r.net.CutBoth("a", "b") // or the standby would tell it
		r.desk.mute("a", true)
		r.desk.promote("b", "a")
		r.desk.waitInSync("b")
		b.write("new", "v")
		_, err := a.read(store.Linearizable, "new")
		require.Equal(t, problem.NoPrimary, problem.CodeOf(err), "nobody confirms that it is still the primary")
		refusal := <-a.begin(deletion(r, "not there"))
		require.Equal(t, problem.NoPrimary, refusal.code(), "an answer without effect is confirmed like a read")
		require.Equal(t, problem.OutcomeUnknown, (<-a.begin(r.put("old", "v"))).code())
		require.Equal(t, problem.Overloaded, (<-a.begin(r.create("old", "w"))).code(), "it was judged on what may be lost")
		r.net.HealBoth("a", "b")
		r.desk.mute("a", false)
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
		require.Empty(t, a.has("old"))
	})
}

// A primary that is cut off from the monitors is told by the standby that leaves.
func TestPrimaryLearnsItsFateFromItsStandby(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		r.desk.mute("a", true)
		r.desk.promote("b", "a")
		r.eventually("the old primary follows the new one", func() bool {
			return a.replica.Status().Role == protocol.RoleStandby
		})
		b.write("new", "v")
		r.eventually("and has what it writes", func() bool { return a.has("new") == "v" })
	})
}

// A standby reads what the primary confirms, and nothing without it.
func TestStandbyReads(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		r.net.SetLink("a", "b", memnet.Link{Delay: 20 * time.Millisecond})
		a.write("k", "v1")
		a.write("k", "v2")
		got, err := b.read(store.Linearizable, "k")
		require.NoError(t, err)
		require.Equal(t, "v2", got)

		r.desk.settings.Hold = protocol.Duration(500 * time.Millisecond)
		r.desk.tellAll()
		synctest.Wait()
		r.net.CutBoth("a", "b")
		began := time.Now()
		_, err = b.read(store.Linearizable, "k")
		require.Equal(t, problem.NotPrimary, problem.CodeOf(err))
		require.LessOrEqual(t, time.Since(began), 600*time.Millisecond)
	})
}

// A session read waits for the position that it names.
func TestSessionReads(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		r.desk.settings.Hold = protocol.Duration(500 * time.Millisecond)
		r.desk.tellAll()
		r.net.SetLink("a", "b", memnet.Link{Delay: 30 * time.Millisecond})
		out := a.write("k", "v")
		view, err := b.replica.Read(t.Context(), store.Session, out.Position)
		require.NoError(t, err)
		e, ok := view.Get("k")
		require.True(t, ok)
		require.Equal(t, "v", e.Value)

		never := protocol.Position{Epoch: out.Position.Epoch, Seq: out.Position.Seq + 100}
		began := time.Now()
		_, err = b.replica.Read(t.Context(), store.Session, never)
		require.Equal(t, problem.Overloaded, problem.CodeOf(err))
		require.Equal(t, 500*time.Millisecond, time.Since(began))

		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err = b.replica.Read(ctx, store.Session, never)
		require.Error(t, err)

		waits := make(chan error, 1)
		go func() {
			_, err := b.replica.Read(context.Background(), store.Session, never)
			waits <- err
		}()
		synctest.Wait()
		b.stop()
		require.Error(t, <-waits, "the end of the replica ends the wait")
	})
}

// The end of a replica ends the wait of its writers and readers, whatever it
// waits for.
func TestEndWhileWritesWait(t *testing.T) {
	inPair(t, func(t *testing.T, r *rig, a, b *member) {
		r.desk.mute("a", true)
		r.net.CutBoth("a", "b")
		write := a.begin(r.put("k", "v"))
		refusal := a.begin(r.create("k", "w"))
		a.stop()
		require.Equal(t, problem.OutcomeUnknown, (<-write).code())
		require.Error(t, (<-refusal).err)
	})
}

// The birth of a group brings its profile, and a standby has it from the stream.
func TestBirthWithAProfile(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		r.profile = []byte(`{"initial":{"name":"x","gender":"y"},"read_only":["gender"],"other_keys":"allow"}`)
		_, err := store.ParseProfile(r.profile)
		require.NoError(t, err)
		for _, name := range []string{"a", "b"} {
			r.addMember(name)
		}
		a, b := r.member("a"), r.member("b")
		r.desk.promote("a")
		r.desk.waitInSync("a", "b")
		r.sameState(a, b)
		require.Equal(t, "x", b.has("name"))
		require.Equal(t, problem.NotUpdatable, (<-a.begin(r.put("gender", "z"))).code())
	})
}
