package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"understudy.example/pkg/problem"
)

// query reads the query of r, in which only the named parameters may stand,
// each once. A misspelt one would otherwise be overlooked.
func query(r *http.Request, names ...string) (map[string]string, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem.Errorf(problem.BadRequest, "the query is not valid: %s", err)
	}
	out := make(map[string]string, len(values))
	for name, given := range values {
		if !slices.Contains(names, name) {
			return nil, unknownParameter(name, names)
		}
		if len(given) > 1 {
			return nil, problem.Errorf(problem.BadRequest, "the query gives %s more than once", name)
		}
		out[name] = given[0]
	}
	return out, nil
}

func unknownParameter(name string, known []string) error {
	if len(known) == 0 {
		return problem.Errorf(problem.BadRequest, "the query has a parameter %q, and none is known here", name)
	}
	return problem.Errorf(problem.BadRequest, "the query has a parameter %q: known here is %s", name, strings.Join(known, ", "))
}
