package mutanttest

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/mutant"
)

// subjects are runs that TestSubject makes in a process of its own, since most of
// them fail.
const (
	source     = "../testdata/subject/subject.go"
	envSubject = "UNDERSTUDY_MUTANTTEST"
)

func subjects() map[string][]mutant.Mutant {
	return map[string][]mutant.Mutant{
		"caught":   {mutant.One("the larger", source, "a > b", "a < b")},
		"judged":   {mutant.One("the larger", source, "a > b", "a < b")},
		"survives": {mutant.One("the larger", source, "a > b", "a < b"), mutant.One("no rule", source, "a > b", "a >= b")},
		"stale":    {mutant.One("the larger", source, "a > b", "a < b"), mutant.One("gone", source, "a <> b", "a < b")},
	}
}

func TestSubject(t *testing.T) {
	name := os.Getenv(envSubject)
	if name == "" {
		t.Skip("it is run by TestRun")
	}
	var found func(*testing.T, mutant.Result)
	if name == "judged" {
		found = func(t *testing.T, r mutant.Result) { require.Equal(t, []string{"something else"}, r.Caught) }
	}
	Run(t, subjects()[name], mutant.Trial{Package: "../testdata/subject"}, found)
}

func TestRun(t *testing.T) {
	for _, test := range []struct {
		subject, env string
		fails        bool
		says         string
	}{
		{"caught", "", false, "set UNDERSTUDY_MUTANTS=1 to run"},
		{"caught", "1", false, "caught by TestLarger"},
		{"judged", "1", true, "something else"},
		{"survives", "", false, "set UNDERSTUDY_MUTANTS=1 to run"},
		{"survives", "1", true, "the mutant survived"},
		{"stale", "", true, "bring the mutant up to date"},
		{"stale", "1", true, "bring the mutant up to date"},
	} {
		t.Run(test.subject+test.env, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSubject$", "-test.v")
			cmd.Env = append(os.Environ(), envSubject+"="+test.subject, mutant.Env+"="+test.env)
			out, err := cmd.CombinedOutput()
			require.Equal(t, test.fails, err != nil, "%s", out)
			require.Contains(t, string(out), test.says)
		})
	}
}
