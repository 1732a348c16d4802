package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func unborn(t *testing.T, names ...string) *desk {
	t.Helper()
	c := &cluster{t: t}
	c.does(Command{Found: &Found{Cluster: "c-1", Settings: DefaultSettings()}})
	d := deskOf(t, c.reg)
	d.passes(time.Second)
	for _, n := range names {
		d.joins(n)
	}
	return d
}

func (d *desk) joins(n string) {
	d.nodes[n] = &NodeReport{Name: n, UUID: UUID("u" + n), Boot: boot(1), Address: n + ":1", Priority: 50}
}

func TestBirthAtOnceWhenAllWantedCopiesAreThere(t *testing.T) {
	d := unborn(t, "b", "a", "c")
	d.passes(110 * ms)
	require.Equal(t, []UUID{"ua", "ub"}, d.reg.Groups[0].Members)
	require.Equal(t, of("ua", 1), d.reg.Groups[0].Primary)
	require.Equal(t, []UUID{"ua"}, d.reg.Groups[0].InSync)
}

func TestBirthWithTheLowestNameOfTheFirstSecond(t *testing.T) {
	d := unborn(t, "b")
	d.refusesBecause("no primary yet")
	d.passes(time.Second)
	require.Zero(t, d.reg.Groups[0].Version)
	d.passes(110 * ms)
	require.Equal(t, of("ub", 1), d.reg.Groups[0].Primary)
	d.joins("a")
	d.passes(200 * ms)
	require.Equal(t, []UUID{"ub", "ua"}, d.reg.Groups[0].Members, "members-wanted")
	require.Equal(t, of("ub", 1), d.reg.Groups[0].Primary)
}

// The monitor restarts after the first node was registered, before the birth: the
// second that is waited begins anew.
func TestBirthWaitBeginsAnewWithTheMonitor(t *testing.T) {
	c := &cluster{t: t}
	c.does(Command{Found: &Found{Cluster: "c-1", Settings: DefaultSettings()}})
	c.does(register("B", 1))
	d := deskOf(t, c.reg)
	d.nodes["B"].Groups = nil
	d.passes(900 * ms)
	require.Empty(t, d.proposed)
	d.passes(300 * ms)
	require.Equal(t, of("B", 1), d.reg.Groups[0].Primary)
}

func TestFirstPrimaryIsNotACorruptOne(t *testing.T) {
	d := unborn(t, "a", "b")
	d.nodes["a"].State = StateCorrupt
	d.passes(110 * ms)
	require.Equal(t, of("ub", 1), d.reg.Groups[0].Primary)
}
