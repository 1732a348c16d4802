package httpapi

import (
	"net/http"
	"strings"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

const (
	keyIfMatch     = "If-Match"
	keyIfNoneMatch = "If-None-Match"
)

// condition reads the condition of a request (RFC 9110 section 13.1).
func condition(h http.Header) (cond store.Cond, err error) {
	// A weak tag never satisfies If-Match, which compares strongly.
	if cond.Match, err = tags(h, keyIfMatch, false); err != nil {
		return cond, err
	}
	cond.NoneMatch, err = tags(h, keyIfNoneMatch, true)
	return cond, err
}

func hasCondition(h http.Header) bool {
	return len(h[keyIfMatch]) > 0 || len(h[keyIfNoneMatch]) > 0
}

// tags reads a header that is "*" or a list of entity tags. Tags that no entry
// can have are left out.
func tags(h http.Header, name string, weak bool) (store.Tags, error) {
	values, ok := h[name]
	if !ok {
		return store.Tags{}, nil
	}
	rest := strings.TrimSpace(strings.Join(values, ","))
	t := store.Tags{Given: true}
	if rest == "*" {
		t.Any = true
		return t, nil
	}
	for rest != "" {
		tag, isWeak, after, ok := cutTag(rest)
		if !ok {
			return t, badTags(name, values)
		}
		if pos, err := protocol.ParsePosition(tag); err == nil && pos.String() == tag && (weak || !isWeak) {
			t.Positions = append(t.Positions, pos)
		}
		rest = strings.TrimLeft(after, " \t")
		if rest != "" && rest[0] != ',' {
			return t, badTags(name, values)
		}
		rest = strings.TrimLeft(rest, ", \t")
	}
	return t, nil
}

func badTags(name string, values []string) error {
	return problem.Errorf(problem.BadRequest, "%s is %q: it is * or a list of ETags in double quotes, for example \"3.1042\"", name, strings.Join(values, ","))
}

// cutTag reads the entity tag that s begins with.
func cutTag(s string) (tag string, weak bool, rest string, ok bool) {
	s, weak = strings.CutPrefix(s, "W/")
	s, ok = strings.CutPrefix(s, `"`)
	if !ok {
		return "", weak, "", false
	}
	tag, rest, ok = strings.Cut(s, `"`)
	return tag, weak, rest, ok
}
