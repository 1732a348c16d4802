package rival

import (
	"context"
	"errors"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/deploy/bench/internal/call"
)

// envRivals has the tests start real stores.
const envRivals = "UNDERSTUDY_RIVALS"

// start starts a store and waits until it is ready; where it is not installed
// the test is skipped.
func start(t *testing.T, name string) Rival {
	t.Helper()
	r, err := Start(t.Context(), name, t.TempDir())
	if errors.Is(err, ErrNotFound) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(r.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, r.WaitReady(ctx))
	return r
}

// insist repeats a request until it succeeds.
func insist(t *testing.T, c call.Caller, req call.Request) {
	t.Helper()
	require.Eventually(t, func() bool { return c.Call(t.Context(), req).Success() }, 20*time.Second, 10*time.Millisecond)
}

func TestAStoreGoesOnWithoutItsPrimary(t *testing.T) {
	if os.Getenv(envRivals) == "" {
		t.Skip("set " + envRivals + "=1 to start other stores where they are installed: about 15 s")
	}
	for _, name := range []string{"redis", "etcd-fast"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, name)
			c := r.Open()
			defer c.Close()
			get := call.Request{Method: http.MethodGet, Key: "p/b"}
			require.Equal(t, http.StatusNotFound, c.Call(t.Context(), get).Status)
			for _, key := range []string{"p/a", "p/b", "q"} {
				insist(t, c, call.Request{Method: http.MethodPut, Key: key, Body: []byte("1" + key)})
			}
			a := c.Call(t.Context(), get)
			require.Equal(t, "1p/b", string(a.Body))
			first, _, err := r.Primary(t.Context())
			require.NoError(t, err)
			require.NoError(t, r.Kill(first))
			insist(t, c, call.Request{Method: http.MethodPut, Key: "p/c", Body: []byte("2")})
			second, _, err := r.Primary(t.Context())
			require.NoError(t, err)
			require.NotEqual(t, first, second)
			items, err := r.Items(t.Context(), "p/")
			require.NoError(t, err)
			require.Len(t, items, 3)
			require.Equal(t, "p/a", items[0].Key)
			require.Equal(t, "1p/a", *items[0].Value)
			require.NoError(t, r.Remove(t.Context(), []string{"p/a", "p/b", "p/c"}))
			items, err = r.Items(t.Context(), "p/")
			require.NoError(t, err)
			require.Empty(t, items)
		})
	}
}

func TestAProgramThatIsNotInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, name := range Names() {
		_, err := Start(t.Context(), name, t.TempDir())
		require.ErrorIs(t, err, ErrNotFound)
		require.ErrorContains(t, err, "is not installed: on Debian it is in the package ")
	}
}

func TestProcesses(t *testing.T) {
	sleep, err := program("sleep", "coreutils")
	require.NoError(t, err)
	p := newProcesses()
	p.add("one", t.TempDir(), sleep, "60")
	require.ErrorContains(t, p.Kill("one"), "one is not running")
	require.NoError(t, p.startAll())
	require.NoError(t, p.Stop("one"))
	require.NoError(t, p.Cont("one"))
	require.NoError(t, p.Terminate("one"))
	require.Error(t, p.Kill("one"), "it has ended")
	require.NoError(t, p.Start("one"))
	p.Close()
	require.Error(t, p.Stop("one"))
	for _, do := range []func(string) error{p.Start, p.Kill, p.Terminate, p.Stop, p.Cont} {
		require.ErrorContains(t, do("two"), `there is no process "two"`)
	}
}

func TestAwaitTellsWhatIsMissing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	require.EqualError(t, await(ctx, func(context.Context) error { return errors.New("the leader is missing") }), "the leader is missing")
}
