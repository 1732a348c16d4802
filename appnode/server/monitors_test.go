package server

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAWishGoesToTheOneThatDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m monitors
		all := []string{"m1", "m2", "m3"}
		require.Equal(t, all, m.inOrder(all), "nothing is known yet")
		m.answered("m2", false)
		m.answered("m3", true)
		require.Equal(t, []string{"m3", "m2", "m1"}, m.inOrder(all))
		time.Sleep(freshAnswer + 1)
		m.answered("m2", false)
		require.Equal(t, []string{"m2", "m1", "m3"}, m.inOrder(all), "the leader is silent")
		require.Equal(t, []string{"m1", "m2", "m3"}, all, "the list of the command line stays as it is")
	})
}
