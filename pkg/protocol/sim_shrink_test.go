package protocol_test

import (
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
