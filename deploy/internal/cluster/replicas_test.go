package cluster

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/wire"
)

func TestDifferencesAreFound(t *testing.T) {
	one, two := "1", "2"
	list := []wire.Item{{Key: "a", Value: &one, ETag: `"1.1"`}, {Key: "b", Base64: &one, ETag: `"1.2"`}}
	require.Empty(t, difference(list, list))
	require.Empty(t, difference(nil, nil))
	for want, other := range map[string][]wire.Item{
		`only the first has "b"`:     {list[0]},
		`only the second has "c"`:    {list[0], list[1], {Key: "c"}},
		`"a" at "1.1", "b" at "1.2"`: {list[1], list[0]},
		`"a" at "1.1", "a" at "1.3"`: {{Key: "a", Value: &one, ETag: `"1.3"`}, list[1]},
		`"a" at "1.1", "a" at "1.1"`: {{Key: "a", Value: &two, ETag: `"1.1"`}, list[1]},
		`"b" at "1.2", "b" at "1.2"`: {list[0], {Key: "b", Value: &one, ETag: `"1.2"`}},
	} {
		require.Equal(t, want, difference(list, other))
	}
}

func TestRoutes(t *testing.T) {
	opts := options(t)
	opts.Route = func(from, to, address string) (string, error) { return from + ">" + to + "@" + address, nil }
	all, err := processes(opts, []string{"m"}, []string{"a", "b"})
	require.NoError(t, err)
	require.NotContains(t, all[0].args, "-advertise")
	require.Subset(t, all[1].args, []string{"-monitors", "app1>m1@m", "-advertise", ">app1@a"})
	require.Subset(t, all[2].args, []string{"-monitors", "app2>m1@m", "-advertise", ">app2@b", "-listen", "b"})

	opts.Route = func(from, to, _ string) (string, error) {
		if from == "" {
			return "", errors.New("no way")
		}
		return to, nil
	}
	_, err = processes(opts, []string{"m"}, []string{"a"})
	require.EqualError(t, err, "the way to app1: no way")
	opts.Route = func(string, string, string) (string, error) { return "", errors.New("no way") }
	_, err = processes(opts, []string{"m"}, []string{"a"})
	require.EqualError(t, err, "the way from app1 to m1: no way")
}
