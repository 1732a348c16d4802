package protocol_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// shrinkTries bounds the search for a smaller failure.
const shrinkTries = 300

// shrink leaves out one fault after the other for as long as something is still
// found, and returns the numbers of those that the failure does without. A run
// without a fault draws other numbers afterwards, so what is found may differ: any
// finding will do.
func shrink(broken *world, seed uint64) []int {
	skip := slices.Clone(broken.skip)
	for tries, i := 0, broken.harms; i > 0 && tries < shrinkTries; i-- {
		if slices.Contains(skip, i) {
			continue
		}
		tries++
		smaller := append(slices.Clone(skip), i)
		if w := simulate(seed, false, smaller); w.check.broken != "" {
			skip = smaller
			i = min(i, w.harms+1) // it may have ended earlier
		}
	}
	slices.Sort(skip)
	return skip
}

// finding tells of a world that is broken: the story of the smallest one that is,
// and how to run it again. It is the given one of so many worlds, after so many
// steps of all.
func finding(broken *world, seed uint64, worlds, steps int) string {
	const last = 400
	skip := shrink(broken, seed)
	w := simulate(seed, true, skip)
	left := 0
	for i := range w.harms {
		if !slices.Contains(skip, i+1) {
			left++
		}
	}
	story := strings.Join(w.trace[max(0, len(w.trace)-last):], "\n")
	return fmt.Sprintf("%s\nseed %d: %s (run it alone with %s=%d %s=%s; %d faults are left; caught in world %d, after %d steps)",
		story, seed, w.check.broken, envSeed, seed, envSkip, numbers(skip), left, worlds, steps)
}

func numbers(list []int) string {
	var out []string
	for _, n := range list {
		out = append(out, strconv.Itoa(n))
	}
	return strings.Join(out, ",")
}

func parseNumbers(text string) []int {
	var out []int
	for part := range strings.SplitSeq(text, ",") {
		if n, err := strconv.Atoi(part); err == nil {
			out = append(out, n)
		}
	}
	return out
}
