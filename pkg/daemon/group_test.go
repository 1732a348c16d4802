package daemon

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// The tests run in bubbles, which fail when a goroutine is left behind.

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestGroupFirstErrorStopsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(t.Context(), zerolog.Nop())
		broken := errors.New("broken")
		g.Go("waits", untilDone)
		g.Go("fails", func(context.Context) error {
			time.Sleep(time.Second)
			return broken
		})
		g.Go("fails later", func(ctx context.Context) error {
			<-ctx.Done()
			return errors.New("a consequence")
		})
		err := g.Wait()
		require.ErrorIs(t, err, broken)
		require.EqualError(t, err, "fails: broken")
		require.Error(t, g.Context().Err())
	})
}

func TestGroupStopIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(t.Context(), zerolog.Nop())
		g.Go("a", untilDone)
		g.Go("b", func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		})
		synctest.Wait()
		g.Stop()
		require.NoError(t, g.Wait())
	})
}

func TestGroupEndsWithItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		g := NewGroup(ctx, zerolog.Nop())
		g.Go("a", untilDone)
		require.NoError(t, g.Wait())
	})
}

func TestGroupGoesOnWhenOneReturnsNil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(t.Context(), zerolog.Nop())
		g.Go("short", func(context.Context) error { return nil })
		synctest.Wait()
		require.NoError(t, g.Context().Err())
		g.Stop()
		require.NoError(t, g.Wait())
	})
}

func TestGroupReportsARealErrorWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(t.Context(), zerolog.Nop())
		g.Go("closer", func(ctx context.Context) error {
			<-ctx.Done()
			return errors.New("close journal: disk failed")
		})
		g.Stop()
		require.EqualError(t, g.Wait(), "closer: close journal: disk failed")
	})
}

func TestGroupContextErrorOfAnothersTimeoutCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(t.Context(), zerolog.Nop())
		g.Go("dials", func(context.Context) error { return context.DeadlineExceeded })
		require.ErrorIs(t, g.Wait(), context.DeadlineExceeded)
	})
}
