package raftlink

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"understudy.example/pkg/memnet"
	"understudy.example/pkg/problem"
)

// host is a monitor's port with a link behind it.
type host struct {
	link      *Link
	transport raft.Transport
	server    *http.Server
}

func serve(t *testing.T, n *memnet.Net, name string, self raft.ServerID) *host {
	t.Helper()
	at := n.Host(name)
	ln, err := at.Listen(t.Context(), name+":80")
	require.NoError(t, err)
	h := &host{link: New(name+":80", at.Dial)}
	h.server = &http.Server{Handler: h.link, ReadHeaderTimeout: time.Second}
	go func() { _ = h.server.Serve(ln) }()
	if self != "" {
		h.transport = h.link.Transport(self, hclog.NewNullLogger())
	}
	return h
}

func (h *host) close() {
	if h.transport != nil {
		_ = h.transport.(raft.WithClose).Close()
	}
	_ = h.link.Close()
	_ = h.server.Close()
}

// vote asks from for a vote at to.
func vote(from *host, id raft.ServerID, address raft.ServerAddress, term uint64) (raft.RequestVoteResponse, error) {
	var out raft.RequestVoteResponse
	err := from.transport.RequestVote(id, address, &raft.RequestVoteRequest{Term: term}, &out)
	return out, err
}

func TestMessagesGoToTheVoterThatTheyAreMeantFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		defer n.Close()
		a, b, starting := serve(t, n, "a", "m1-a"), serve(t, n, "b", "m2-b"), serve(t, n, "c", "")
		defer a.close()
		defer b.close()
		defer starting.close()
		require.Equal(t, raft.ServerAddress("m1-a@a:80"), a.transport.LocalAddr())
		require.Equal(t, "a:80", HostPort(a.transport.LocalAddr()))

		answering, stop := context.WithCancel(t.Context())
		defer stop()
		go func() {
			for {
				select {
				case rpc := <-b.transport.Consumer():
					rpc.Respond(&raft.RequestVoteResponse{Term: rpc.Command.(*raft.RequestVoteRequest).Term, Granted: true}, nil)
				case <-answering.Done():
					return
				}
			}
		}()
		for term := range uint64(100) { // the connection is used again and again
			out, err := vote(a, "m2-b", Address("m2-b", "b:80"), term+1)
			require.NoError(t, err)
			require.Equal(t, term+1, out.Term)
			require.True(t, out.Granted)
		}

		_, err := vote(a, "m2-old", Address("m2-old", "b:80"), 1)
		require.Equal(t, problem.WrongCluster, problem.CodeOf(err), "its disk was lost: it is another voter")
		require.ErrorContains(t, err, "m2-b")
		_, err = vote(a, "m3", Address("m3", "c:80"), 1)
		require.Equal(t, problem.NoLeader, problem.CodeOf(err), "it has not opened its registry yet")
		_, err = vote(a, "m2-b", "b:80", 1)
		require.ErrorContains(t, err, "ID@host:port")
	})
}

func TestCloseEndsEveryConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		defer n.Close()
		a, b := serve(t, n, "a", "m1-a"), serve(t, n, "b", "m2-b")
		defer b.close()
		c, err := a.link.Dial(Address("m2-b", "b:80"), time.Second)
		require.NoError(t, err)
		waiting := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			waiting <- err
		}()
		synctest.Wait()
		a.close()
		require.Error(t, <-waiting)
		_, err = a.link.Dial(Address("m2-b", "b:80"), time.Second)
		require.Error(t, err)
		_, err = a.link.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestSilentVoterIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		defer n.Close()
		a, b := serve(t, n, "a", "m1-a"), serve(t, n, "b", "m2-b")
		defer a.close()
		defer b.close()
		n.CutBoth("a", "b")
		began := time.Now()
		_, err := vote(a, "m2-b", Address("m2-b", "b:80"), 1)
		require.Error(t, err)
		require.LessOrEqual(t, time.Since(began), rpcTimeout)
	})
}
