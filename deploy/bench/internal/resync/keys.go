package resync

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"understudy.example/pkg/wire"
)

// errNotThere tells that nothing but time was missing.
var errNotThere = errors.New("it catches up, too slowly")

const (
	prefix = "resync/"
	// fillers is how many requests fill the cluster at a time.
	fillers = 4
	// fillBytes is about how much each of them writes.
	fillBytes = 1 << 20
	// LeastValue is the shortest value that can carry its key and version.
	LeastValue = 32
)

// Keys are the keys of the map, and what is known to be in them. Each belongs to
// one writer, who alone changes it.
type Keys struct {
	value   []byte   // what follows key and version in every value
	version []uint32 // acknowledged
	tried   []uint32 // sent
}

// NewKeys returns keys that take size bytes together, in values of the given
// size.
func NewKeys(size int64, value int) *Keys {
	n := max(1, size/int64(value))
	k := &Keys{value: make([]byte, value), version: make([]uint32, n), tried: make([]uint32, n)}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range k.value {
		k.value[i] = byte('a' + random.IntN(26))
	}
	return k
}

// Len returns how many keys there are.
func (k *Keys) Len() int { return len(k.version) }

func name(i int) string { return fmt.Sprintf("%s%08d", prefix, i) }

// put writes the value of a key at a version into buf, which has its size.
func (k *Keys) put(buf []byte, i int, version uint32) {
	n := copy(buf, k.value)
	head := strconv.AppendUint(append(strconv.AppendInt(nil, int64(i), 10), ' '), uint64(version), 10)
	copy(buf[:n], append(head, ' '))
}

// Fill writes every key once, at the node with the address.
func (k *Keys) Fill(ctx context.Context, address string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	step := max(1, fillBytes/len(k.value))
	next := make(chan int)
	var workers sync.WaitGroup
	for range fillers {
		workers.Go(func() {
			for from := range next {
				if err := k.fill(ctx, address, from, min(from+step, k.Len())); err != nil {
					cancel(fmt.Errorf("fill the cluster: %w", err))
				}
			}
		})
	}
	for from := 0; from < k.Len() && ctx.Err() == nil; from += step {
		next <- from
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

func (k *Keys) fill(ctx context.Context, address string, from, to int) error {
	patch := make(map[string]string, to-from)
	buf := make([]byte, len(k.value))
	for i := from; i < to; i++ {
		k.put(buf, i, 0)
		patch[name(i)] = string(buf)
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, "http://"+address+"/v1/state", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Prefer", "return=minimal")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10)) // the status tells enough
		return fmt.Errorf("%s: %s", res.Status, text)
	}
	return nil
}

// maxNamed bounds the keys that an error names.
const maxNamed = 5

// Check reads all keys from the copy of one node and compares them with what was
// acknowledged. Nobody may write meanwhile.
func (k *Keys) Check(ctx context.Context, address string) (wrong []string, err error) {
	next, after := 0, ""
	for {
		page, err := readPage(ctx, address, after)
		if err != nil {
			return wrong, err
		}
		for _, it := range page.Items {
			for next < k.Len() && name(next) < it.Key {
				wrong = note(wrong, name(next)+" is missing")
				next++
			}
			if next >= k.Len() || name(next) != it.Key {
				wrong = note(wrong, it.Key+" was never written")
				continue
			}
			if why := k.compare(next, it); why != "" {
				wrong = note(wrong, it.Key+" "+why)
			}
			next++
		}
		if after = page.Next; after == "" {
			for ; next < k.Len(); next++ {
				wrong = note(wrong, name(next)+" is missing")
			}
			return wrong, nil
		}
	}
}

func note(wrong []string, text string) []string {
	if len(wrong) < maxNamed {
		return append(wrong, text)
	}
	return wrong
}

// compare tells what is wrong with what is kept of key i, if anything.
func (k *Keys) compare(i int, it wire.Item) string {
	if it.Value == nil {
		return "is not the text that was written"
	}
	var of int
	var version uint32
	if _, err := fmt.Sscanf(*it.Value, "%d %d ", &of, &version); err != nil || of != i || len(*it.Value) != len(k.value) ||
		!strings.HasSuffix(*it.Value, string(k.value[LeastValue:])) {
		return "holds what was never written to it"
	}
	if version < k.version[i] || version > k.tried[i] {
		return fmt.Sprintf("is at version %d, and %d was acknowledged", version, k.version[i])
	}
	return ""
}

func readPage(ctx context.Context, address, after string) (page wire.Page, err error) {
	query := url.Values{"prefix": {prefix}, "after": {after}, "limit": {"1000"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/v1/kv?"+query.Encode(), nil)
	if err != nil {
		return page, err
	}
	req.Header.Set(wire.HeaderConsistency, wire.Stale)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return page, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return page, fmt.Errorf("read the keys of %s: %s", address, res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(&page); err != nil {
		return page, fmt.Errorf("read the keys of %s: %w", address, err)
	}
	return page, nil
}
