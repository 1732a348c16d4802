//go:build race

package protocol_test

// simFresh is how many fresh seeds an ordinary run tries: the race detector makes them ten times slower.
const simFresh = 1
