package server

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A node that was given an address that is none would try it for ever.
func TestAddressesAreChecked(t *testing.T) {
	o := DefaultOptions()
	o.Name, o.Data = "app1", t.TempDir()
	require.NoError(t, o.Validate())
	o.Advertise, o.Monitors = "host1:8081", []string{"m1:8080", "m2:8080"}
	require.NoError(t, o.Validate())
	o.Monitors = []string{"m1:8080", "m2"}
	require.ErrorContains(t, o.Validate(), `-monitors: "m2" is not of the form host:port`)
	o.Advertise, o.Monitors = "host1", []string{"m1:8080"}
	require.ErrorContains(t, o.Validate(), `-advertise: "host1" is not of the form host:port`)
}
