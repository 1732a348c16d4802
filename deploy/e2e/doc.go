// Package e2e holds the tests of the assembled system: real processes, killed,
// frozen and cut off for real. README.md tells which fault each test shows.
package e2e
