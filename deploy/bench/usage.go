package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
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
func usageOf(ctx context.Context, url string) (u used, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return u, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return u, err
	}
	defer res.Body.Close()
	u.at = time.Now()
	found := 0
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		into := map[string]*float64{"process_cpu_seconds_total": &u.cpu, "process_resident_memory_bytes": &u.resident}[name]
		if into == nil {
			continue
		}
		if *into, err = strconv.ParseFloat(value, 64); err != nil {
			return u, fmt.Errorf("%s of %s: %w", name, url, err)
		}
		found++
	}
	if err := lines.Err(); err != nil {
		return u, err
	}
	if found != 2 {
		return u, fmt.Errorf("%s does not tell its CPU time and memory: this system has no /proc", url)
	}
	return u, nil
}

// share returns how much of one core was used between two moments.
func share(before, after used) float64 {
	return (after.cpu - before.cpu) / after.at.Sub(before.at).Seconds()
}
