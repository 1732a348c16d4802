package daemon

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTCPListenAndDial(t *testing.T) {
	n := TCP()
	ln, err := n.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	c, err := n.Dial(t.Context(), "tcp", ln.Addr().String())
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func TestTCPListenOnATakenPort(t *testing.T) {
	ln, err := TCP().Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	_, err = TCP().Listen(t.Context(), ln.Addr().String())
	require.EqualError(t, err, "address "+ln.Addr().String()+" is in use: stop the other process or choose another with -listen")
}

func TestTCPListenOnNoAddress(t *testing.T) {
	_, err := TCP().Listen(t.Context(), "127.0.0.1")
	require.ErrorContains(t, err, "listen on 127.0.0.1: ")
}

func TestCheckListen(t *testing.T) {
	for _, address := range []string{"127.0.0.1:8080", "localhost:8080", "[::1]:8080", "127.9.8.7:0"} {
		require.NoError(t, CheckListen(address, false), address)
	}
	for _, address := range []string{"0.0.0.0:8080", ":8080", "[::]:8080", "192.168.1.4:8080", "example.org:8080", "localhost.example.org:8080"} {
		require.ErrorContains(t, CheckListen(address, false), "accept it with -insecure", address)
		require.NoError(t, CheckListen(address, true), address)
	}
	for address, want := range map[string]string{
		"127.0.0.1":       "not of the form host:port",
		"":                "not of the form host:port",
		"127.0.0.1:http":  "is not a number from 0 to 65535",
		"127.0.0.1:65536": "is not a number from 0 to 65535",
		"127.0.0.1:-1":    "is not a number from 0 to 65535",
		"127.0.0.1:":      "is not a number from 0 to 65535",
	} {
		require.ErrorContains(t, CheckListen(address, true), want, address)
	}
}

func TestCheckAddress(t *testing.T) {
	for _, address := range []string{"127.0.0.1:8080", "m1:1", "[::1]:65535", "example.org:8080"} {
		require.NoError(t, CheckAddress("-monitors", address), address)
	}
	for address, want := range map[string]string{
		"":           `-monitors: "" is not of the form host:port`,
		"m1":         "not of the form host:port",
		":8080":      "not of the form host:port",
		"m1:":        "is not a number from 1 to 65535",
		"m1:0":       "is not a number from 1 to 65535",
		"m1:65536":   "is not a number from 1 to 65535",
		"m1:monitor": "is not a number from 1 to 65535",
	} {
		require.ErrorContains(t, CheckAddress("-monitors", address), want, address)
	}
}
