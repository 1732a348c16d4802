//go:build !race

package protocol_test

// simFresh is how many fresh seeds an ordinary run tries: half a minute.
const simFresh = 600
