//go:build !race

package protocol

// raced tells that the race detector is on.
const raced = false
