package replica

import (
	"testing"
	"time"

	"understudy.example/pkg/mutant"
	"understudy.example/pkg/mutant/mutanttest"
)

// mutants lists what the shell around the core has to do at the right moment. The
// tests of this package must find every rule that is taken out.
func mutants() []mutant.Mutant {
	return []mutant.Mutant{
		// Writes.
		mutant.One("a write is answered when it is committed", "publish.go",
			"r.lead.collect(commit)", "r.lead.collect(r.core.Durable())"),
		mutant.One("a standby shows only what is committed", "publish.go",
			"before := r.applied.Position()", "before := r.applied.Position()\n\tif r.lead == nil {\n\t\tcommit = r.core.Durable()\n\t}"),
		mutant.One("a record counts when the disk has it", "lead.go",
			"r.core.AppendedTo(protocol.Position{Epoch: l.epoch, Seq: b.last}, now)",
			"r.core.AppendedTo(protocol.Position{Epoch: l.epoch, Seq: b.last}, now)\n\tunsynced := r.core.Commit()\n\tr.core.Synced(b.last, now)\n\tr.afterProgress(unsynced)"),
		mutant.One("a request is judged on the newest state", "judge.go",
			"v := l.tail.JudgeOnce(w.req, now)", "r.mu.Lock()\n\t\tv := r.applied.JudgeOnce(w.req, now)\n\t\tr.mu.Unlock()"),
		mutant.One("who waits for room is told when the hold is over", "lead.go",
			"err := r.reserve(room)\n\twrites := r.take(l, room)", "writes := r.take(l, room)\n\terr := r.reserve(room)"),
		mutant.One("a refusal waits for the commit of what it was judged on", "lead.go",
			"if b.chunk.data == nil {\n\t\tr.publish()", "if b.chunk.data == nil {\n\t\tb.tell(r.view.Load(), r.core.Copies(), 0)\n\t\tr.publish()"),
		mutant.One("an answer without records is confirmed", "answer.go",
			"case b.chunk.data == nil && !r.core.Alone():", "case false:"),
		mutant.One("what was appended may yet be committed", "answer.go",
			"err = j.w.unknown(unknown)", "_ = unknown"),
		mutant.One("a write does not outlive its epoch", "control.go",
			"l.fail()\n\t\tr.failRounds()", "r.failRounds()"),
		mutant.One("nothing is appended after the end of the reign", "lead.go",
			"if r.lead != l {\n\t\t// Deposed", "if r.closed {\n\t\t// Deposed"),
		// Reads.
		mutant.One("a read is confirmed", "round.go",
			"if r.core.Alone() {\n\t\tr.mu.Unlock()\n\t\treturn view, nil", "if true {\n\t\tr.mu.Unlock()\n\t\treturn view, nil"),
		mutant.One("a read waits for a confirm that is sent after it arrived", "round.go",
			"n := r.core.Join(now)", "r.core.Join(now)\n\tn := before"),
		mutant.One("a read does not outlive its epoch", "control.go",
			"l.fail()\n\t\tr.failRounds()", "l.fail()"),
		{Rule: "a standby takes its snapshot after the primary has answered", Edits: []mutant.Edit{
			{File: "question.go", Old: "\tr.mu.Lock()\n\tif r.asking.stream == nil {", New: "\tview := r.view.Load()\n\tr.mu.Lock()\n\tif r.asking.stream == nil {"},
			{File: "question.go", Old: "return r.view.Load(), nil\n}\n\n// wantAsk", New: "return view, nil\n}\n\n// wantAsk"},
		}},
		mutant.One("a standby has applied what the primary told it", "question.go",
			"if !r.await(ctx, q.commit, time.Duration(r.hold.Load())) {", "if false {"),
		mutant.One("a standby's question is a read at the primary", "question.go",
			"if r.core.Alone() {\n\t\ta.answer()", "if true {\n\t\ta.answer()"),
		mutant.One("a standby's read asks after it arrived", "question.go",
			"q := r.asking.next\n", "q := r.asking.next\n\tif r.asking.flying != nil {\n\t\tq = r.asking.flying\n\t}\n"),
		mutant.One("a question waits for the primary to serve", "control.go", "\t\tr.takeEarly()\n", ""),
		mutant.One("an answer belongs to its question", "question.go",
			" || q.number != binary.LittleEndian.Uint64(payload) {", " {"),
		// Watches.
		mutant.One("the state is shown together with its records", "feed.go",
			"f.end = end\n\tshow()\n", "f.end = end\n\tf.mu.Unlock()\n\tshow()\n\tf.mu.Lock()\n"),
		// Snapshots.
		mutant.One("the journal stays for who was sent a snapshot", "hold.go",
			"all = append(all, h.seq+1)", "_ = h"),
		mutant.One("the journal stays for who catches up", "hold.go", "all = append(all, c.acked+1)", "_ = c"),
		mutant.One("what cannot be read is sent as a snapshot", "send.go", "\t\t\tr.unread = max(r.unread, from)\n", ""),
		mutant.One("what stays for standbys is bounded", "hold.go", "s < keep && r.opts.Journal.BytesAfter(s-1) <= limit", "s < keep && limit > 0"),
		mutant.One("a full disk keeps nothing for standbys", "hold.go", "if r.full.Load() {", "if false {"),
		mutant.One("what was kept for standbys goes on a full disk", "snapshot.go", "if r.full.Load() {", "if false {"),
		mutant.One("who has no room does not have snapshots sent without end", "follow.go", "pause(ctx, refill)", "_ = 0"),
		mutant.One("the journal stays for a while only", "hold.go", "return !h.end.IsZero() && !now.Before(h.end)", "return false"),
		mutant.One("who does not come is forgotten where nothing is written", "hold.go", "\tr.forgetHolds(time.Now())", "\t_ = 0"),
		mutant.One("a snapshot does not wait for ever for who takes none of it", "snapshot.go",
			"_ = http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(snapshotPatience))", "_ = 0"),
		mutant.One("a large map is written out seldom", "snapshot.go", "return max(r.opts.SnapshotBytes, r.view.Load().Bytes())", "return r.opts.SnapshotBytes"),
		mutant.One("what was written before a restart counts", "replica.go", "\t\tr.written.Add(int64(len(chunk)))\n", ""),
		// Requests that come again.
		{Rule: "an id is looked up on the newest state", Edits: []mutant.Edit{
			{File: "judge.go", Old: "v := l.tail.JudgeOnce(w.req, now)", New: "v := l.tail.JudgeOnce(w.req, now)\n\t\tif v.Repeated && v.Position.Seq > commit {\n\t\t\teffects, err := l.tail.Judge(w.req)\n\t\t\tv = store.Verdict{Effects: effects, Err: err, Recorded: len(effects) > 0}\n\t\t}"},
			{File: "judge.go", Old: "id = store.AppendAnswered(id[:0], w.req, v.Status)", New: "if id = store.AppendAnswered(id[:0], w.req, v.Status); v.Status == 0 {\n\t\t\t\tid = nil\n\t\t\t}"},
		}},
		mutant.One("a refusal of a request with an id is recorded", "judge.go",
			"if v.Recorded {", "if v.Recorded && v.Err == nil {"),
		mutant.One("a repeat is answered when the first is committed, and confirmed", "judge.go",
			"if v.Repeated {\n", "if v.Repeated {\n\t\t\tw.done <- result{err: v.Err, outcome: store.Outcome{View: r.view.Load(), Position: v.Position, Repeated: true}}\n\t\t\tcontinue\n\t\t}\n\t\tif v.Repeated {\n"),
		mutant.One("a repeat of what may yet be committed is not told to be refused", "answer.go",
			"if j.applied && (appended || j.repeated) {", "if j.applied && appended {"),
		mutant.One("a standby remembers the answers", "publish.go",
			"return m.ApplyBatch(rec.Position(), rec.RequestID, rec.Payload)", "return m.ApplyBatch(rec.Position(), nil, rec.Payload)"),
		mutant.One("a record has the answer", "judge.go",
			"RequestID: id, Payload: payload})", "Payload: payload})"),
		{Rule: "a sealed primary judges nothing", Edits: []mutant.Edit{
			{File: "seal.go", Old: "if q == nil || q.asked {\n\t\treturn r.core.Sealed()", New: "if q == nil || q.asked {\n\t\treturn false"},
			{File: "seal.go", Old: "r.kick()\n\treturn r.core.Sealed()", New: "r.kick()\n\treturn false"},
		}},
		// Streams.
		mutant.One("the answer to a handshake belongs to its connection", "follow.go",
			"return id, w, r.core.Welcomed(id, h.Epoch, w.Part)", "_ = r.core.Welcomed(id, h.Epoch, w.Part)\n\treturn id, w, nil"),
		mutant.One("a confirm is answered by the epoch that is accepted now", "follow.go",
			"if err != nil {\n\t\t\treturn err\n\t\t}\n\t\tif err := r.takeFrame", "if err != nil && h.Type != frameConfirm {\n\t\t\treturn err\n\t\t}\n\t\tif err := r.takeFrame"),
		mutant.One("records that waited are taken only in their epoch", "follow.go",
			"if err := r.core.Accepts(s.id, s.epoch); err != nil {\n\t\tr.mu.Unlock()", "if err := r.core.Accepts(s.id, s.epoch); false {\n\t\tr.mu.Unlock()"),
		mutant.One("records are acknowledged when the disk has them", "follow.go",
			"if err := r.opts.Journal.Write(buf); err != nil {", "_ = s.send(frameAck, uint64(run.last))\n\tif err := r.opts.Journal.Write(buf); err != nil {"),
		mutant.One("records are in sequence", "run.go",
			"case rec.Seq != last.Seq+1 || rec.Epoch < last.Epoch || rec.Epoch > epoch:", "case false:"),
		mutant.One("nobody acknowledges what was not sent", "stream.go",
			"if seq >= c.next {", "if false {"),
		mutant.One("what is cut off is not applied", "follow.go",
			"err = r.pending.cut(part)", "err = nil"),
		mutant.One("a snapshot is not older than what is committed", "snapshot.go",
			"if m.Position.Seq < least {", "if false {"),
		mutant.One("a snapshot is of this cluster", "snapshot.go",
			"if m.Cluster != r.opts.Cluster() || ", "if "),
		// Chains.
		mutant.One("records are filled in of the same epoch only", "relay.go",
			"if epoch != t.relay.epoch || ", "if "),
		mutant.One("a relay's lag does not hold those behind it", "send.go",
			" && relay.inFlight < windowBytes {", " {"),
		mutant.One("a stream that moves keeps its place until the next one is there", "follow.go",
			"\t\t\tm.old = l.conn\n\t\t\treturn\n", ""),
		mutant.One("a stream that moves keeps its place until its records are on the disk", "chain.go",
			"\t\t\ts.turn()\n", "\t\t\t_ = s.conn.Close()\n"),
		mutant.One("who still takes from a relay is not left without records", "follow.go",
			"r.chained.Load() || s.relay.used()", "r.chained.Load()"),
		mutant.One("who is behind a frozen standby goes to the primary in time", "chain.go",
			"\t\treturn chainSilence\n", "\t\treturn silence\n"),
		mutant.One("who is behind a standby that leaves goes to the primary", "control.go",
			"r.publish()\n\t\t\t\tr.reroute()", "r.publish()"),
		mutant.One("who is behind a slow link goes to the primary in time", "control.go",
			"\t\tr.dropStranded(now)\n", ""),
		mutant.One("more records wake the streams behind", "send.go",
			"\t\tif out.bytes > 0 || out.take != nil {\n\t\t\tr.notifyBehind(c)\n\t\t}\n", ""),
		// The disk.
		mutant.One("a primary's failed sync counts", "lead.go",
			"if err := r.opts.Journal.Write(b.buf); err != nil {", "if err := r.opts.Journal.Write(b.buf); false {"),
		mutant.One("a standby's failed sync counts", "follow.go",
			"if err := r.opts.Journal.Write(buf); err != nil {", "if err := r.opts.Journal.Write(buf); false {"),
		mutant.One("a failed sync leaves a mark", "control.go",
			"if errors.Is(err, journal.ErrAtRisk) {", "if errors.Is(err, journal.ErrAtRisk) && false {"),
		{Rule: "an epoch is durable before it is used", Edits: []mutant.Edit{
			{File: "control.go", Old: "return r.persistEpoch(ctx, e.Epoch)", New: "return nil"},
			{File: "control.go", Old: "r.core.Settled(r.opts.Epochs.AcceptedEpoch(r.opts.Group), time.Now())", New: "r.core.Settled(r.core.GroupRecord().Epoch, time.Now())"},
		}},
		mutant.One("the journal is quiet before a role begins", "control.go",
			"r.role.wait.Wait()\n", ""),
	}
}

// TestMutants expects the ordinary tests of this package to fail with every mutant.
func TestMutants(t *testing.T) {
	mutanttest.Run(t, mutants(), mutant.Trial{Package: ".", Limit: 2 * time.Minute}, nil)
}
