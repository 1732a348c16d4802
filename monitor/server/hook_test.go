package server

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHooksThatCannotBe(t *testing.T) {
	for _, good := range []Hook{
		{}, {Command: "./start-a-node"}, {URL: "https://example.org/x", Secret: []byte("s")}, {URL: "http://127.0.0.1:9"},
	} {
		require.NoError(t, good.validate())
	}
	require.ErrorContains(t, Hook{Secret: []byte("s")}.validate(), "belongs to -webhook")
	for _, bad := range []string{"example.org", "ftp://example.org", ":", "https://"} {
		require.ErrorContains(t, Hook{URL: bad}.validate(), "is not a URL")
	}
}
