package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const faultCases = 37

var (
	testDeclared = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	testNamed    = regexp.MustCompile("`(Test\\w+)`")
	faultRow     = regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \| ([^|]*) ?\| ([^|]*) ?\| ([^|]*) ?\|$`)
)

// Every case has a row, every row names tests, and every test is where the table
// says.
func TestTheTableOfFaults(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	declared := declaredTests(t, filepath.Join("..", ".."))
	rows := faultRow.FindAllStringSubmatch(string(text), -1)
	require.Len(t, rows, faultCases)
	for i, row := range rows {
		require.Equal(t, strconv.Itoa(i+1), row[1])
		waiting := strings.Contains(row[3], "with several monitors")
		require.True(t, waiting || testNamed.MatchString(row[0]), "case %s names no test", row[1])
		for column, tier := range map[string]func(dir string) bool{
			row[3]: func(dir string) bool { return dir == "deploy/e2e" },
			row[4]: func(dir string) bool { return dir == "deploy/e2e/bubble" },
			row[5]: func(dir string) bool { return !strings.HasPrefix(dir, "deploy") },
		} {
			for _, name := range testNamed.FindAllStringSubmatch(column, -1) {
				require.True(t, slices.ContainsFunc(declared[name[1]], tier), "case %s: %s is in %q", row[1], name[1], declared[name[1]])
			}
		}
	}
	for _, name := range testNamed.FindAllStringSubmatch(string(text), -1) {
		require.NotEmpty(t, declared[name[1]], "%s does not exist", name[1])
	}
}

// declaredTests returns the directories of every test below root, by its name.
func declaredTests(t *testing.T, root string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, found := range testDeclared.FindAllStringSubmatch(string(source), -1) {
			all[found[1]] = append(all[found[1]], filepath.ToSlash(dir))
		}
		return err
	})
	require.NoError(t, err)
	return all
}
