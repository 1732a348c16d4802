package failover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
)

// reader reads what the writers write, and compares it with what they were told
// before the read began.
type reader struct {
	*worker
	writers []writer
}

func (r *reader) step(ctx context.Context) error {
	key, least, greatest := r.writers[rand.IntN(len(r.writers))].sample()
	out, err := r.insist(ctx, get(key), http.StatusNotFound)
	if err != nil {
		return err
	}
	r.succeeded()
	value := -1
	if out.Status != http.StatusNotFound {
		if value, err = strconv.Atoi(string(out.Body)); err != nil {
			return fmt.Errorf("%s holds %q, which nobody wrote", key, out.Body)
		}
	}
	switch most := greatest(); {
	case value < least:
		r.stale = append(r.stale, fmt.Sprintf("%s: value %d was acknowledged before the read, which returned %d (-1: nothing)", key, least, value))
	case value > most:
		r.stale = append(r.stale, fmt.Sprintf("%s: the read returned %d, and nobody had written more than %d", key, value, most))
	}
	return nil
}
