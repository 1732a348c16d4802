package flags

import (
	"bytes"
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type settings struct {
	expiry   time.Duration
	retries  int
	ratio    float64
	insecure bool
	name     string
	get      string
	timeout  time.Duration
}

func newSet(out *bytes.Buffer) (*flag.FlagSet, *settings) {
	fs := flag.NewFlagSet("demo", flag.ExitOnError) // Parse must make it return all the same
	fs.SetOutput(out)
	var s settings
	fs.DurationVar(&s.expiry, "heartbeat-expiry", 300*time.Millisecond, "how long")
	fs.DurationVar(&s.timeout, "timeout", time.Second, "how long at most")
	fs.IntVar(&s.retries, "retries", 3, "how often")
	fs.Float64Var(&s.ratio, "ratio", 1, "how much")
	fs.BoolVar(&s.insecure, "insecure", false, "whether")
	fs.StringVar(&s.name, "name", "", "who")
	fs.Int("re_tries", 3, "a name like another")
	fs.StringVar(&s.get, "get", "", "print the value of `KEY`")
	return fs, &s
}

func TestParseReadsBothDashes(t *testing.T) {
	fs, s := newSet(&bytes.Buffer{})
	require.NoError(t, Parse(fs, []string{"-heartbeat-expiry", "1s", "--retries=7", "-insecure", "--name", "m1"}, ""))
	require.Equal(t, settings{expiry: time.Second, timeout: time.Second, retries: 7, ratio: 1, insecure: true, name: "m1"}, *s)
}

func TestParseReadsTheEnvironment(t *testing.T) {
	t.Setenv("DEMO_HEARTBEAT_EXPIRY", "2s")
	t.Setenv("DEMO_RETRIES", "9")
	fs, s := newSet(&bytes.Buffer{})
	require.NoError(t, Parse(fs, []string{"-retries", "4"}, "DEMO"))
	require.Equal(t, 2*time.Second, s.expiry)
	require.Equal(t, 4, s.retries, "the command line wins")

	fs, s = newSet(&bytes.Buffer{})
	require.NoError(t, Parse(fs, nil, ""))
	require.Equal(t, 300*time.Millisecond, s.expiry, "without a prefix the environment is not read")
}

func TestParseExplainsMistakes(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"a slip of the finger":  {[]string{"-heartbeat-expriy", "1s"}, "unknown flag -heartbeat-expriy: did you mean -heartbeat-expiry? (-help lists all)"},
		"an underscore":         {[]string{"--heartbeat_expiry=1s"}, "unknown flag -heartbeat_expiry: did you mean -heartbeat-expiry? (-help lists all)"},
		"a part of a name":      {[]string{"-expiry", "1s"}, "unknown flag -expiry: did you mean -heartbeat-expiry? (-help lists all)"},
		"two near names":        {[]string{"-tame", "x"}, "unknown flag -tame: did you mean -name? (-help lists all)"},
		"several near names":    {[]string{"-re-triez", "1"}, "unknown flag -re-triez: did you mean -re_tries or -retries? (-help lists all)"},
		"nothing near":          {[]string{"-zzz"}, "unknown flag -zzz: -help lists the flags there are"},
		"no value":              {[]string{"-retries"}, "-retries needs a value: a whole number"},
		"no text":               {[]string{"-name"}, "-name needs a value: a value"},
		"no placeholder":        {[]string{"-get"}, "-get needs a value: KEY"},
		"a bad duration":        {[]string{"-timeout", "5"}, "the value of -timeout is not valid: it takes a duration such as 300ms or 10s"},
		"a bad number":          {[]string{"-retries", "many"}, "the value of -retries is not valid: it takes a whole number"},
		"a bad ratio":           {[]string{"-ratio", "x"}, "the value of -ratio is not valid: it takes a number"},
		"a bad switch":          {[]string{"-insecure=maybe"}, "the value of -insecure is not valid: it takes true or false"},
		"a stray word":          {[]string{"-name", "m1", "extra"}, `stray argument "extra": every setting is given as -name value`},
		"a flag without a dash": {[]string{"retries=3"}, `stray argument "retries=3": did you mean -retries=3?`},
		"a switch with a value": {[]string{"-insecure", "false"}, `stray argument "false": a switch is turned off as -name=false`},
		"an empty name":         {[]string{"-=x"}, "bad flag syntax"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			fs, _ := newSet(&out)
			require.ErrorContains(t, Parse(fs, tt.args, ""), tt.want)
			require.Empty(t, out.String(), "the error alone speaks")

			require.ErrorContains(t, Parse(fs, tt.args, "DEMO"), tt.want)
		})
	}
}

func TestParseExplainsTheEnvironment(t *testing.T) {
	t.Setenv("DEMO_TIMEOUT", "soon")
	fs, _ := newSet(&bytes.Buffer{})
	err := Parse(fs, nil, "DEMO")
	require.ErrorContains(t, err, "the environment's value for -timeout is not valid: it takes a duration such as 300ms or 10s")
	require.ErrorContains(t, err, "DEMO_TIMEOUT")
}

func TestHelpPrintsTheUsage(t *testing.T) {
	for _, arg := range []string{"-h", "-help", "--help"} {
		var out bytes.Buffer
		fs, _ := newSet(&out)
		require.ErrorIs(t, Parse(fs, []string{arg}, "DEMO"), flag.ErrHelp)
		require.Contains(t, out.String(), "Usage of demo:")
		require.Contains(t, out.String(), "-heartbeat-expiry duration")
	}
}

func TestHelpPrintsTheSetsOwnUsage(t *testing.T) {
	var out bytes.Buffer
	fs, _ := newSet(&out)
	fs.Usage = func() { out.WriteString("my own words") }
	require.ErrorIs(t, Parse(fs, []string{"-h"}, ""), flag.ErrHelp)
	require.Equal(t, "my own words", out.String())
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"same", "same", 0}} {
		require.Equal(t, tt.want, distance(tt.a, tt.b), "%s %s", tt.a, tt.b)
	}
}
