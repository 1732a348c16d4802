package daemon

import (
	"context"
	"errors"
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
)

type fakeOptions struct{ wrong error }

func (o fakeOptions) Validate() error { return o.wrong }

func TestMainReturnsItsExitCode(t *testing.T) {
	wrong := errors.New("it is wrong")
	for _, c := range []struct {
		name    string
		parse   error
		options fakeOptions
		run     error
		code    int
		said    string
	}{
		{"runs", nil, fakeOptions{}, nil, problem.ExitDone, ""},
		{"help", flag.ErrHelp, fakeOptions{}, wrong, problem.ExitDone, ""},
		{"a flag is wrong", wrong, fakeOptions{}, nil, problem.ExitUsage, "role: it is wrong\n"},
		{"a value is wrong", nil, fakeOptions{wrong}, nil, problem.ExitUsage, "role: it is wrong\n"},
		{"it fails", nil, fakeOptions{}, wrong, problem.ExitFailed, "role: it is wrong\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var said strings.Builder
			code := Main([]string{"-a"}, &said, "role",
				func(args []string, _ io.Writer) (fakeOptions, error) {
					require.Equal(t, []string{"-a"}, args)
					return c.options, c.parse
				},
				func(ctx context.Context, _ fakeOptions) error {
					require.NoError(t, ctx.Err())
					return c.run
				})
			require.Equal(t, c.code, code)
			require.Equal(t, c.said, said.String())
		})
	}
}
