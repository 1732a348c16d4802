package protocol

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Settings are the cluster's settings. They are flags at birth; afterwards the
// registry's values hold.
type Settings struct {
	HeartbeatInterval Duration `json:"heartbeat_interval"`
	HeartbeatExpiry   Duration `json:"heartbeat_expiry"`
	Retries           int      `json:"retries"`
	RetryInterval     Duration `json:"retry_interval"`
	WantCopies        int      `json:"want_copies"`
	MinCopies         int      `json:"min_copies"`
	Groups            int      `json:"groups"`
	Hold              Duration `json:"hold"`
	// Reads says which replicas a monitor has linearizable reads answered by:
	// ReadsPrimary or ReadsSpread. Empty, as older registries have it, is
	// ReadsPrimary.
	Reads string `json:"reads,omitempty"`
	// ReplaceAfter is how long a member may be unheard before a spare takes its
	// place; 0: for ever.
	ReplaceAfter Duration `json:"replace_after"`
	Paused       bool     `json:"paused,omitempty"` // no automatic failover
	// Topology is the way that records take to the standbys: Star or Chain.
	// Empty, as older registries have it, is Star.
	Topology string `json:"topology,omitempty"`
}

// Who answers the reads that come through a monitor.
const (
	ReadsPrimary = "primary" // the primary
	ReadsSpread  = "spread"  // every replica of the in-sync set, in turn
)

// DefaultSettings returns the settings that the promises are stated for.
func DefaultSettings() Settings {
	return Settings{
		HeartbeatInterval: Duration(100 * time.Millisecond),
		HeartbeatExpiry:   Duration(300 * time.Millisecond),
		Retries:           3,
		RetryInterval:     Duration(50 * time.Millisecond),
		WantCopies:        2,
		MinCopies:         1,
		Groups:            1,
		Hold:              Duration(10 * time.Second),
		Reads:             ReadsPrimary,
		ReplaceAfter:      Duration(30 * time.Second),
		Topology:          Star,
	}
}

// Validate checks every setting and the relations between them.
func (s Settings) Validate() error {
	switch {
	case s.HeartbeatInterval < Duration(10*time.Millisecond):
		return fmt.Errorf("heartbeat-interval %s is too short: at least 10ms", s.HeartbeatInterval)
	case s.HeartbeatInterval > s.HeartbeatExpiry/2:
		return fmt.Errorf("heartbeat-expiry %s must be at least twice the heartbeat-interval %s, or one late heartbeat raises a suspicion", s.HeartbeatExpiry, s.HeartbeatInterval)
	case s.Retries < 1 || s.Retries > 100:
		return fmt.Errorf("retries %d is out of range: 1 to 100", s.Retries)
	case s.RetryInterval < Duration(5*time.Millisecond) || s.RetryInterval/10 > s.HeartbeatExpiry:
		return fmt.Errorf("retry-interval %s is out of range: 5ms to ten times the heartbeat-expiry", s.RetryInterval)
	case s.WantCopies < 1 || s.WantCopies > 9:
		return fmt.Errorf("want-copies %d is out of range: 1 to 9", s.WantCopies)
	case s.MinCopies < 1 || s.MinCopies > s.WantCopies:
		return fmt.Errorf("min-copies %d is out of range: 1 to want-copies (%d)", s.MinCopies, s.WantCopies)
	case s.Groups != 1:
		return fmt.Errorf("groups %d is not supported by this version: 1", s.Groups)
	case s.Hold < Duration(100*time.Millisecond) || s.Hold > Duration(5*time.Minute):
		return fmt.Errorf("hold %s is out of range: 100ms to 5m", s.Hold)
	case s.ReplaceAfter < 0 || s.ReplaceAfter > 0 && (s.ReplaceAfter < Duration(time.Second) || s.ReplaceAfter/2 < s.HeartbeatExpiry):
		return fmt.Errorf("replace-after %s is too short: at least 1s and twice the heartbeat-expiry (%s), or 0s for never", s.ReplaceAfter, s.HeartbeatExpiry)
	case s.Reads != "" && s.Reads != ReadsPrimary && s.Reads != ReadsSpread:
		return fmt.Errorf("reads %q is not known: %s or %s", s.Reads, ReadsPrimary, ReadsSpread)
	case s.Topology != "" && s.Topology != Star && s.Topology != Chain:
		return fmt.Errorf("topology %q is not known: %s or %s", s.Topology, Star, Chain)
	}
	return nil
}

// named lists the settings by their names in JSON.
func (s Settings) named() [][2]string {
	return [][2]string{
		{"heartbeat_interval", s.HeartbeatInterval.String()},
		{"heartbeat_expiry", s.HeartbeatExpiry.String()},
		{"retries", strconv.Itoa(s.Retries)},
		{"retry_interval", s.RetryInterval.String()},
		{"want_copies", strconv.Itoa(s.WantCopies)},
		{"min_copies", strconv.Itoa(s.MinCopies)},
		{"groups", strconv.Itoa(s.Groups)},
		{"hold", s.Hold.String()},
		{"reads", cmp.Or(s.Reads, ReadsPrimary)},
		{"replace_after", s.ReplaceAfter.String()},
		{"paused", strconv.FormatBool(s.Paused)},
		{"topology", cmp.Or(s.Topology, Star)},
	}
}

// changesOf tells people what is other than before; "" if nothing is.
func (s Settings) changesOf(before Settings) string {
	var out []string
	was := before.named()
	for i, now := range s.named() {
		if now != was[i] {
			out = append(out, fmt.Sprintf("%s is %s (was %s)", now[0], now[1], was[i][1]))
		}
	}
	return strings.Join(out, ", ")
}

// Duration is a [time.Duration] that is written "300ms" in JSON.
type Duration time.Duration

// String returns the duration as "300ms".
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("duration %q is not of the form 300ms or 10s", b)
	}
	*d = Duration(v)
	return nil
}
