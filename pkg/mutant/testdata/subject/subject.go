// Package subject is what the tests of package mutant make mutants of.
package subject

// Larger returns the larger of two numbers.
func Larger(a, b int) int {
	if a > b {
		return a
	}
	return b
}
