package proxy

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
)

// Where more replicas are asked for than connections are kept to, nobody is cut: an
// answer that has begun comes to its end, and what was not answered is asked again.
func TestWhoMakesRoomForOthersIsNotCut(t *testing.T) {
	var asked atomic.Int64
	goOn := make(chan struct{})
	end := sync.OnceFunc(func() { close(goOn) })
	defer end() // also where the test fails: the node waits for it
	s := newSetup(t, 0, node(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.RawQuery == "long" {
			_, _ = w.Write(make([]byte, longState/2))
		}
		select {
		case <-goOn:
			_, _ = w.Write(make([]byte, longState/2))
		case <-r.Context().Done():
		}
	}), "")
	s.change(func(d *directory) {
		for i := range maxReplicas {
			d.nodes[fmt.Sprint("x", i)] = fmt.Sprintf("127.0.0.%d:1", 2+i) // where nobody is
		}
	})
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/v1/state?from=app1&long", nil)
	require.NoError(t, err)
	begun, err := s.client.Do(r)
	require.NoError(t, err)
	defer begun.Body.Close()
	waiting := make(chan answer, 1)
	go func() {
		a, err := s.try(t.Context(), "GET", "/v1/state?from=app1", nil)
		a.body += fmt.Sprint(err)
		waiting <- a
	}()
	require.Eventually(t, func() bool { return asked.Load() == 2 }, 5*time.Second, time.Millisecond)
	for i := range maxReplicas {
		s.do(t, "GET", fmt.Sprint("/v1/state?from=x", i), nil).requireProblem(t, problem.NoPrimary, "did not answer")
	}
	require.Eventually(t, func() bool { return asked.Load() == 3 }, 5*time.Second, time.Millisecond)
	end()
	body, err := io.ReadAll(begun.Body)
	require.NoError(t, err)
	require.Len(t, body, longState)
	a := <-waiting
	require.Equal(t, http.StatusOK, a.status)
	require.Len(t, a.body, longState/2+len("<nil>"))
}
