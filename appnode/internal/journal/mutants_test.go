package journal

import (
	"testing"

	"understudy.example/pkg/mutant"
	"understudy.example/pkg/mutant/mutanttest"
)

// mutants lists the rules that keep a journal's promise: what was synced is there,
// what is there is what was written, and nothing is given up silently. The tests
// of this package must find every one that is taken out.
func mutants() []mutant.Mutant {
	const disk = "../../../pkg/disk/disk.go"
	return []mutant.Mutant{
		mutant.One("what a header shows to be committed is not cut off", "scan.go",
			"case last < beyond:", "case false:"),
		mutant.One("what the snapshot shows to be committed is not cut off", "scan.go",
			"case last < known:", "case false:"),
		mutant.One("a bad record before a later mark is corruption", "scan.go",
			"if f.found.later {", "if false {"),
		mutant.One("a bad record before a later segment is corruption", "scan.go",
			"if ended && f.found.any() {", "if false {"),
		mutant.One("a missing beginning is corruption", "scan.go",
			"case begin > known+1:", "case false:"),
		mutant.One("a torn tail is set aside", "open.go",
			"aside, err := s.asideTorn()", "aside, err := Aside{}, error(nil)"),
		mutant.One("a torn tail is cut off", "open.go",
			"if err := s.o.cut(c); err != nil {\n\t\treturn aside, nil, err\n\t}", "_ = c"),
		mutant.One("the sound records of a torn batch are kept", "open.go",
			"if kept := f.found.kept; kept.count > 0 {", "if kept := f.found.kept; false {"),
		mutant.One("what was found at opening is synced", "open.go",
			"g.file.Sync(\"journal open\")", "error(nil)"),
		mutant.One("the names that were found at opening are synced", "open.go",
			"if err := o.FS.SyncDir(\"journal open\", o.Dir); err != nil {\n\t\treturn nil, Opened{}, err\n\t}", ""),
		mutant.One("a cut goes on after a crash", "open.go",
			"if err := o.finishCut(); err != nil {\n\t\treturn nil, Opened{}, err\n\t}", ""),
		mutant.One("a cut is noted before it is done", "cut.go",
			"err := disk.WriteFile(o.FS, \"journal cut\", filepath.Join(o.Dir, cutName), c.encode())", "err := error(nil)"),
		mutant.One("without room for the note nothing is cut", "cut.go",
			"if !noted && disk.IsFull(err) {", "if noted && disk.IsFull(err) {"),
		mutant.One("what was set aside for a cut that was not made goes", "cut.go",
			"errors.Join(err, j.o.FS.Remove(\"journal aside\", aside.File))", "err"),
		mutant.One("the note of a cut is gone before anything new is written", "cut.go",
			"return o.removeAll(\"journal cut\", []string{cutName})", "return o.FS.Remove(\"journal cut\", filepath.Join(o.Dir, cutName))"),
		mutant.One("what is cut off is set aside", "cut.go",
			"aside, err := j.asideRecords(after+1, last.Seq)", "aside, err := Aside{}, error(nil)"),
		mutant.One("a cut does not go below the snapshot", "cut.go",
			"if after < floor || ", "if "),
		mutant.One("a cut does not go below a snapshot that is being written", "cut.go",
			"floor := max(j.snapshot.Seq, j.writingAt)", "floor := j.snapshot.Seq"),
		mutant.One("a cut is synced", "cut.go", "return f.Sync(\"journal cut\")", "return nil"),
		mutant.One("a renamed file's directory is synced", disk,
			"if err := fsys.SyncDir(op, filepath.Dir(name)); err != nil {\n\t\treturn fmt.Errorf(\"sync directory of %s: %w\", name, err)\n\t}\n\treturn nil\n}\n\nfunc writeTemp", "return nil\n}\n\nfunc writeTemp"),
		mutant.One("a file is synced before it is renamed", disk,
			"if err := f.Sync(op); err != nil {\n\t\treturn fmt.Errorf(\"sync %s: %w\", temp, err)\n\t}\n", ""),
		mutant.One("a snapshot's name is synced before the journal relies on it", "snapshot.go",
			"if err := j.o.FS.SyncDir(\"journal snapshot\", j.o.Dir); err != nil {", "if err := error(nil); err != nil {"),
		mutant.One("little of a snapshot waits for the disk", "drip.go", "d.waits < dripBytes", "d.waits < 1<<40"),
		mutant.One("a snapshot leaves the disk to others", "drip.go", "d.hurry != nil && !d.hurry.Load()", "false"),
		mutant.One("a snapshot that is waited for is written fast", "drip.go", "d.hurry != nil && !d.hurry.Load()", "d.hurry != nil"),
		mutant.One("writes do not wait for the removal of segments", "trim.go",
			"old, err := j.forgetBelow(keep)", "old, err := j.forgetBelow(keep)\n\tj.turn <- struct{}{}\n\tdefer func() { <-j.turn }()"),
		mutant.One("a snapshot is synced before it is renamed", "snapshot.go", "return f.Sync(op)", "return nil"),
		mutant.One("an installed snapshot's name is synced before what it replaces is removed", "install.go",
			"if err := j.o.FS.SyncDir(\"journal install\", j.o.Dir); err != nil {", "if err := error(nil); err != nil {"),
		mutant.One("a snapshot is verified before it is installed", "install.go",
			"_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, d, make([]byte, chunkSize))\n\t\treturn err",
			"_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, d, make([]byte, chunkSize))\n\t\treturn nil"),
		mutant.One("the segments of before a snapshot was installed count for nothing", "scan.go",
			"case ok && g == s.generation:", "case ok && g > 0:"),
		mutant.One("a mark belongs to its segment", "format.go",
			"return crc32.Checksum(h.salt[:], castagnoli)", "return 0"),
		mutant.One("a mark belongs to its place", "format.go",
			"binary.LittleEndian.PutUint64(place[:], uint64(at))\n", "_ = at\n"),
		mutant.One("a mark is checked", "format.go",
			"if binary.LittleEndian.Uint32(b[4:]) != markSum(b, seed, at) {", "if false {"),
		mutant.One("a record is checked", "../record/record.go",
			"sum != binary.LittleEndian.Uint32(b[offCRC:]) {", "false && sum != 0 {"),
		mutant.One("a segment's header is checked", "format.go",
			"if crc32.Checksum(b[:60], castagnoli) != binary.LittleEndian.Uint32(b[60:]) {", "if false {"),
		mutant.One("a snapshot is checked", "container.go",
			"if binary.LittleEndian.Uint32(sum[:]) != want || ", "if want == 0 && false || "),
		mutant.One("a batch continues the journal", "write.go",
			"case r.Seq != last.Seq+1 || r.Epoch < last.Epoch:", "case false:"),
		mutant.One("a batch is synced", "write.go", "if !j.o.NoSync {", "if false {"),
		mutant.One("a failed sync counts", "write.go",
			"if err := s.file.Datasync(\"journal sync\"); err != nil {", "if err := s.file.Datasync(\"journal sync\"); false {"),
		mutant.One("a failed sync is not tried again", "write.go",
			"if err := s.file.Datasync(\"journal sync\"); err != nil {", "if err := s.file.Datasync(\"journal sync\"); err != nil && s.file.Datasync(\"journal sync\") != nil {"),
		mutant.One("a journal that failed is of no use any more", "journal.go",
			"j.failed = err", "_ = err"),
		mutant.One("trimming stops at the snapshot", "trim.go",
			"keep = min(keep, j.snapshot.Seq+1)", "_ = keep"),
	}
}

// TestMutants expects the ordinary tests of this package to fail with every mutant.
func TestMutants(t *testing.T) {
	mutanttest.Run(t, mutants(), mutant.Trial{Package: "."}, nil)
}
