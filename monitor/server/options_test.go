package server

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPeersAreReadAndChecked(t *testing.T) {
	peers, err := ParsePeers("m1=127.0.0.1:8080, m2=127.0.0.1:8090")
	require.NoError(t, err)
	require.Equal(t, []Peer{{Name: "m1", Address: "127.0.0.1:8080"}, {Name: "m2", Address: "127.0.0.1:8090"}}, peers)
	for _, text := range []string{"", "m1", "m1=", "=h:1", "m1=h:1,"} {
		_, err := ParsePeers(text)
		require.ErrorContains(t, err, "NAME=host:port", text)
	}

	o := DefaultOptions()
	o.Data = t.TempDir()
	require.NoError(t, o.Validate())
	require.Equal(t, o.Listen, o.address())
	o.Peers = []Peer{{Name: "m1", Address: "h1:8080"}, {Name: "m2", Address: "h2:8080"}}
	require.NoError(t, o.Validate())
	require.Equal(t, "h1:8080", o.address())

	for want, change := range map[string]func(*Options){
		"is not among them":     func(o *Options) { o.Name = "m3" },
		"-advertise: \"h1\" is": func(o *Options) { o.Advertise, o.Peers = "h1", nil },
		"say the same":          func(o *Options) { o.Advertise = "other:1" },
		"is not host:port":      func(o *Options) { o.Peers = []Peer{{Name: "m1", Address: "h1"}} },
		"is listed twice":       func(o *Options) { o.Peers = append(o.Peers, Peer{Name: "m2", Address: "h3:1"}) },
		"m3=h2:8080 is listed":  func(o *Options) { o.Peers = append(o.Peers, Peer{Name: "m3", Address: "h2:8080"}) },
		"use 1 to 64 letters":   func(o *Options) { o.Peers = append(o.Peers, Peer{Name: "m@3", Address: "h3:1"}) },
		"needs a data director": func(o *Options) { o.Data = "" },
	} {
		bad := o
		bad.Peers = append([]Peer(nil), o.Peers...)
		change(&bad)
		require.ErrorContains(t, bad.Validate(), want)
	}
}
