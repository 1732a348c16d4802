package store

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"understudy.example/pkg/problem"
)

// Limits of what a client may write.
const (
	MaxKey     = 1024    // bytes of a key, which is valid UTF-8 and not empty
	MaxValue   = 1 << 20 // bytes of a value
	MaxRequest = 8 << 20 // bytes of a request's body, and of its effects as a record
)

// CheckKey tells what is wrong with a key, if anything.
func CheckKey(key string) error {
	switch {
	case key == "":
		return problem.Errorf(problem.BadRequest, "the key is empty: a key has 1 to %d bytes", MaxKey)
	case len(key) > MaxKey:
		return problem.Errorf(problem.BadRequest, "key %s has %d bytes: a key has 1 to %d bytes", quote(key), len(key), MaxKey)
	case !utf8.ValidString(key):
		return problem.Errorf(problem.BadRequest, "key %s is not UTF-8", quote(key))
	}
	return nil
}

func checkValue(key string, size int) error {
	if size > MaxValue {
		return problem.Errorf(problem.TooLarge, "the value of key %s has %d bytes: a value has at most %d", quote(key), size, MaxValue)
	}
	return nil
}

// maxQuoted bounds the bytes of a key in a sentence.
const maxQuoted = 64

// quote returns key in quotes for a sentence, cut short if it is long.
func quote(key string) string {
	if len(key) <= maxQuoted {
		return strconv.Quote(key)
	}
	cut := maxQuoted
	for cut > maxQuoted-utf8.UTFMax && !utf8.RuneStart(key[cut]) {
		cut--
	}
	return strconv.Quote(key[:cut]) + "…"
}

// maxListed bounds the keys that a sentence names.
const maxListed = 20

// quoteAll names the keys in a sentence: the first maxListed of them, and how
// many others there are.
func quoteAll(keys []string) string {
	var b strings.Builder
	for i, k := range keys {
		if i == maxListed {
			b.WriteString(" and " + strconv.Itoa(len(keys)-i) + " more")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(k))
	}
	return b.String()
}
