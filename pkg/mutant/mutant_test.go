package mutant

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const subject = "testdata/subject/subject.go"

// try runs the subject's tests against a mutant of it.
func try(t *testing.T, m Mutant, trial Trial) (Result, error) {
	t.Helper()
	trial.Package = "./testdata/subject"
	return m.Try(t.Context(), t.TempDir(), trial)
}

func TestAMutantIsCaughtAndTheSourceStays(t *testing.T) {
	before, err := os.ReadFile(subject)
	require.NoError(t, err)
	t.Setenv(Env, "1") // not handed on: its tests' mutants would run their tests' mutants
	r, err := try(t, One("the larger", subject, "a > b", "a < b"), Trial{})
	require.NoError(t, err)
	require.Equal(t, []string{"TestLarger"}, r.Caught)
	require.Contains(t, r.Tail(), "wrong")
	after, err := os.ReadFile(subject)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestAMutantSurvives(t *testing.T) {
	same := One("no rule", subject, "a > b", "a >= b")
	r, err := try(t, same, Trial{})
	require.NoError(t, err)
	require.Empty(t, r.Caught)
	r, err = try(t, One("the larger", subject, "a > b", "a < b"), Trial{Tests: "^TestEnvironment$"})
	require.NoError(t, err)
	require.Empty(t, r.Caught)
	r, err = try(t, same, Trial{Env: []string{"SUBJECT=1"}})
	require.NoError(t, err)
	require.Equal(t, []string{"TestEnvironment"}, r.Caught)
}

func TestEditsAddUp(t *testing.T) {
	m := Mutant{"both", []Edit{{subject, "a > b", "a < b"}, {subject, "a < b", "b < a"}}}
	require.NoError(t, m.Check())
	r, err := try(t, m, Trial{})
	require.NoError(t, err)
	require.Empty(t, r.Caught, "the second undoes the first")
}

func TestTrialsThatShowNothing(t *testing.T) {
	for name, test := range map[string]struct {
		edit  Edit
		trial Trial
		says  string
	}{
		"it cannot be built":      {Edit{subject, "return b", "return c"}, Trial{}, "undefined: c"},
		"its tests do not end":    {Edit{subject, "return b", "for {\n\t}"}, Trial{Limit: time.Second}, "did not end within 1s"},
		"the place is not there":  {Edit{subject, "return c", "return d"}, Trial{}, "holds it 0 times"},
		"the place is there more": {Edit{subject, "\treturn", "\treturn 1 +"}, Trial{}, "holds it 2 times"},
		"the file is not there":   {Edit{"testdata/nothing.go", "a", "b"}, Trial{}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := try(t, Mutant{"a rule", []Edit{test.edit}}, test.trial)
			require.ErrorContains(t, err, test.says, r.Output)
		})
	}
}

func TestAPanicCounts(t *testing.T) {
	r, err := try(t, One("no exit", subject, "if a > b {", "go func() { panic(\"on its own\") }()\n\tfor {\n\t}\n\tif a > b {"), Trial{})
	require.NoError(t, err)
	require.Equal(t, []string{"panic: on its own"}, r.Caught)
}
