package flags

import (
	"cmp"
	"flag"
	"iter"
	"slices"
	"strings"
)

// maxNearest bounds the flags that a suggestion names.
const maxNearest = 3

// all yields every flag of fs by name.
func all(fs *flag.FlagSet) iter.Seq[*flag.Flag] {
	var known []*flag.Flag
	fs.VisitAll(func(f *flag.Flag) { known = append(known, f) })
	return slices.Values(known)
}

// suggestion names the known flags that are nearest to an unknown name.
func suggestion(fs *flag.FlagSet, name string) string {
	near := nearest(fs, name)
	if len(near) == 0 {
		return "-help lists the flags there are"
	}
	return "did you mean -" + strings.Join(near, " or -") + "? (-help lists all)"
}

func nearest(fs *flag.FlagSet, name string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var found []candidate
	for f := range all(fs) {
		d := distance(normal(name), normal(f.Name))
		part := len(name) >= 3 && strings.Contains(normal(f.Name), normal(name))
		if d <= max(1, len(name)/3) || part {
			found = append(found, candidate{f.Name, d})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var names []string
	for _, c := range found {
		twin := slices.ContainsFunc(names, func(n string) bool { return normal(n) == normal(c.name) })
		if !twin && len(names) < maxNearest {
			names = append(names, c.name)
		}
	}
	return names
}

// normal removes what people write differently: case, underscores.
func normal(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "_", "-")
}

// distance is the Levenshtein distance of a and b in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
