package witness

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

func registry(leader, cluster string, epoch protocol.Epoch, version protocol.Version) wire.Cluster {
	return wire.Cluster{Leader: leader, Cluster: cluster, Groups: []wire.GroupView{{Epoch: epoch, Version: version}}}
}

func node(uuid protocol.UUID, boot uint64, epoch protocol.Epoch, commit protocol.Seq, serving bool) wire.Heartbeat {
	return wire.Heartbeat{
		Name: string(uuid), UUID: uuid, Boot: protocol.Boot{Count: boot, Nonce: "n"},
		Groups: []wire.GroupStatus{{Epoch: epoch, Commit: commit, Serving: serving}},
	}
}

func TestWhatMayHappen(t *testing.T) {
	w := New()
	w.Cluster(registry("m1", "c", 1, 3))
	w.Cluster(registry("", "", 0, 0)) // it has just started
	w.Cluster(registry("m1", "c", 2, 4))
	w.Node(node("a", 1, 1, 7, true))
	w.Node(node("a", 2, 1, 5, false)) // a new boot knows less to be committed
	w.Node(node("a", 1, 1, 7, true))  // late
	w.Node(node("b", 1, 2, 8, true))
	require.Empty(t, w.Violations())
	require.Equal(t, 6, w.Looks())
}

func TestWhatMustNotHappen(t *testing.T) {
	for want, see := range map[string]func(*Witness){
		"the registry went back from epoch 2, version 4 to epoch 2, version 3": func(w *Witness) {
			w.Cluster(registry("m1", "c", 2, 4))
			w.Cluster(registry("m1", "c", 2, 3))
		},
		"the registry went back from epoch 2, version 4 to epoch 1, version 5": func(w *Witness) {
			w.Cluster(registry("m1", "c", 2, 4))
			w.Cluster(registry("m1", "c", 1, 5))
		},
		"the registry was of cluster c and is of cluster d": func(w *Witness) {
			w.Cluster(registry("m1", "c", 1, 1))
			w.Cluster(registry("m1", "d", 1, 1))
		},
		"a had accepted epoch 2 and says epoch 1 in boot 2-n": func(w *Witness) {
			w.Node(node("a", 1, 2, 7, false))
			w.Node(node("a", 2, 1, 7, false))
		},
		"the commit seq of a went back from 7 to 6 in boot 1-n": func(w *Witness) {
			w.Node(node("a", 1, 2, 7, false))
			w.Node(node("a", 1, 2, 6, false))
		},
		"epoch 2 was served by boot 1-n of a and by boot 1-n of b": func(w *Witness) {
			w.Node(node("a", 1, 2, 7, true))
			w.Node(node("b", 1, 2, 7, true))
		},
		"epoch 2 was served by boot 1-n of a and by boot 2-n of a": func(w *Witness) {
			w.Node(node("a", 1, 2, 7, true))
			w.Node(node("a", 2, 2, 7, true))
		},
	} {
		w := New()
		see(w)
		require.Equal(t, []string{want}, w.Violations())
	}
}

func TestWatching(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/cluster":
			_ = json.NewEncoder(rw).Encode(registry("m1", "c", 1, 1))
		case wire.PathProbe:
			_ = json.NewEncoder(rw).Encode(node("a", 1, 1, 1, true))
		default:
			rw.WriteHeader(http.StatusTeapot)
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	w, ended := New(), make(chan struct{})
	go func() {
		defer close(ended)
		w.Watch(ctx, time.Millisecond, server.URL, []string{server.URL, "http://127.0.0.1:1", server.URL + "/nowhere"})
	}()
	require.Eventually(t, func() bool { return w.Looks() >= 4 }, 10*time.Second, time.Millisecond)
	cancel()
	<-ended
	require.Empty(t, w.Violations())
}
