// Package mutant takes single rules out of the source of the program and runs its
// tests against what is left: a checker that finds nothing proves nothing until it
// has been seen to find what it is there for.
//
// It is for tests. A mutant is built with the go command's -overlay, so that no
// file of the source is ever changed.
package mutant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Env is the environment variable that, when it is set, has tests run their
// mutants: too slow for an ordinary run.
const Env = "UNDERSTUDY_MUTANTS"

// Mutant is one rule taken out of the source.
type Mutant struct {
	Rule  string // that the source without the edits keeps
	Edits []Edit
}

// Edit replaces one place of a source file. File is a path from the directory of
// the test. Old must be there exactly once, so that a mutant cannot go stale unseen.
type Edit struct{ File, Old, New string }

// One returns the mutant of a single edit.
func One(rule, file, old, now string) Mutant { return Mutant{rule, []Edit{{file, old, now}}} }

// Check tells whether the source still has every place that the mutant edits.
func (m Mutant) Check() error {
	_, err := m.edited()
	return err
}

// edited returns the files that the mutant changes, by absolute path.
func (m Mutant) edited() (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range m.Edits {
		path, err := filepath.Abs(e.File)
		if err != nil {
			return nil, err
		}
		if _, ok := texts[path]; !ok {
			b, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("mutant %q: %w", m.Rule, err)
			}
			texts[path] = string(b)
		}
		if n := strings.Count(texts[path], e.Old); n != 1 {
			return nil, fmt.Errorf("mutant %q: %s should hold this exactly once, and holds it %d times; bring the mutant up to date with the source:\n%s", m.Rule, e.File, n, e.Old)
		}
		texts[path] = strings.Replace(texts[path], e.Old, e.New, 1)
	}
	return texts, nil
}

// Trial says which tests a mutant has to get past.
type Trial struct {
	Package string        // an import path, or "." for the directory of the test
	Tests   string        // a pattern as of go test -run; "" for all
	Env     []string      // something more for the environment, as NAME=value
	Limit   time.Duration // of the tests; 0 for 5 minutes
}

// Result is how a trial ended.
type Result struct {
	// Caught lists the tests that failed, or holds the panic that ended them all.
	// None: the mutant has survived.
	Caught []string
	Output string
	Took   time.Duration // with building
}

// ErrNoTrial is wrapped by the error of a trial that shows nothing: the mutant
// cannot be built, or its tests did not come to an end.
var ErrNoTrial = errors.New("the trial shows nothing")

var (
	failedTest = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)
	panicked   = regexp.MustCompile(`(?m)^(panic|fatal error): .{1,100}`)
)

// Try builds the mutant in dir, a directory for temporary files, and runs tests
// against it.
func (m Mutant) Try(ctx context.Context, dir string, t Trial) (Result, error) {
	overlay, err := m.Overlay(dir)
	if err != nil {
		return Result{}, err
	}
	limit := t.Limit
	if limit == 0 {
		limit = 5 * time.Minute
	}
	args := []string{"test", "-overlay", overlay, "-count=1", "-vet=off", "-timeout", limit.String()}
	if t.Tests != "" {
		args = append(args, "-run", t.Tests)
	}
	began := time.Now()
	cmd := exec.CommandContext(ctx, "go", append(args, t.Package)...)
	cmd.Env = append(os.Environ(), append(slices.Clone(t.Env), Env+"=")...)
	out, err := cmd.CombinedOutput()
	r := Result{Output: string(out), Took: time.Since(began)}
	if err == nil {
		return r, nil
	}
	for _, f := range failedTest.FindAllStringSubmatch(r.Output, -1) {
		r.Caught = append(r.Caught, f[1])
	}
	switch {
	case ctx.Err() != nil:
		return r, fmt.Errorf("%w: %w", ErrNoTrial, ctx.Err())
	case strings.Contains(r.Output, "panic: test timed out after"):
		return r, fmt.Errorf("%w: the tests did not end within %s", ErrNoTrial, limit)
	case len(r.Caught) == 0 && panicked.MatchString(r.Output):
		r.Caught = []string{panicked.FindString(r.Output)}
	case len(r.Caught) == 0:
		return r, fmt.Errorf("%w: %w:\n%s", ErrNoTrial, err, r.Tail())
	}
	return r, nil
}

// Overlay writes the changed files to dir, with a file that tells the go command of
// them by its flag -overlay.
func (m Mutant) Overlay(dir string) (string, error) {
	texts, err := m.edited()
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for path, text := range texts {
		replace[path] = filepath.Join(dir, fmt.Sprintf("%d-%s", len(replace), filepath.Base(path)))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, b, 0o600)
}

// Tail returns the end of the output, for a message.
func (r Result) Tail() string { return r.Output[max(0, len(r.Output)-4000):] }
