package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// used is what a process has used so far, as it tells itself on /metrics.
type used struct {
	cpu      float64 // seconds
	resident float64 // bytes, now
	at       time.Time
}

// usageOf asks a process of a cluster what it has used.
func usageOf(ctx context.Context, url string) (used, error) {
	values, err := scrape(ctx, url, "process_cpu_seconds_total", "process_resident_memory_bytes")
	if err != nil {
		return used{}, err
	}
	return used{cpu: values[0], resident: values[1], at: time.Now()}, nil
}

// scrape reads metrics that have no labels from a process of a cluster, in the order
// of their names.
func scrape(ctx context.Context, url string, names ...string) ([]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	told := map[string]string{}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if name, value, _ := strings.Cut(lines.Text(), " "); slices.Contains(names, name) {
			told[name] = value
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	values := make([]float64, len(names))
	for i, name := range names {
		if values[i], err = strconv.ParseFloat(told[name], 64); err != nil {
			return nil, fmt.Errorf("%s does not tell %s: it has %q", url, name, told[name])
		}
	}
	return values, nil
}

// share returns how much of one core was used between two moments.
func share(before, after used) float64 {
	return (after.cpu - before.cpu) / after.at.Sub(before.at).Seconds()
}
