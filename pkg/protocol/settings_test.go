package protocol

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDefaultSettingsAreValid(t *testing.T) {
	require.NoError(t, DefaultSettings().Validate())
}

func TestHistoryTellsWhichSettingsChanged(t *testing.T) {
	before, now := DefaultSettings(), DefaultSettings()
	require.Len(t, before.named(), reflect.TypeFor[Settings]().NumField(), "every setting has a name")
	before.Reads, before.Topology = "", "" // as older registries have them
	reg := Registry{Settings: before}
	same, refused := reg.setConfig(SetConfig{Settings: now}, time.Time{})
	require.Nil(t, refused)
	require.Empty(t, same.History, "nothing is other than before")
	now.Paused, now.ReplaceAfter = true, 0
	reg, refused = reg.setConfig(SetConfig{Settings: now}, time.Time{})
	require.Nil(t, refused)
	require.Equal(t, now, reg.Settings)
	require.Len(t, reg.History, 1)
	require.Equal(t, "settings changed: replace_after is 0s (was 30s), paused is true (was false)", reg.History[0].Detail)
}

func TestSettingsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Settings)
		says   string
	}{
		"interval too short":    {func(s *Settings) { s.HeartbeatInterval = Duration(9 * time.Millisecond) }, "at least 10ms"},
		"interval missing":      {func(s *Settings) { s.HeartbeatInterval = 0 }, "at least 10ms"},
		"interval near expiry":  {func(s *Settings) { s.HeartbeatInterval = s.HeartbeatExpiry/2 + 1 }, "at least twice"},
		"interval beyond bound": {func(s *Settings) { s.HeartbeatInterval = math.MaxInt64 }, "at least twice"},
		"no retry":              {func(s *Settings) { s.Retries = 0 }, "1 to 100"},
		"too many retries":      {func(s *Settings) { s.Retries = 101 }, "1 to 100"},
		"retries too close":     {func(s *Settings) { s.RetryInterval = Duration(4 * time.Millisecond) }, "5ms"},
		"retries too far apart": {func(s *Settings) { s.RetryInterval = 11 * s.HeartbeatExpiry }, "ten times"},
		"no copy":               {func(s *Settings) { s.WantCopies = 0 }, "1 to 9"},
		"too many copies":       {func(s *Settings) { s.WantCopies = 10 }, "1 to 9"},
		"no least copy":         {func(s *Settings) { s.MinCopies = 0 }, "1 to want-copies"},
		"more than wanted":      {func(s *Settings) { s.MinCopies = s.WantCopies + 1 }, "1 to want-copies (2)"},
		"no group":              {func(s *Settings) { s.Groups = 0 }, "not supported"},
		"replaced too soon":     {func(s *Settings) { s.ReplaceAfter = Duration(time.Second - 1) }, "0s for never"},
		"replaced by mistake": {func(s *Settings) {
			s.HeartbeatExpiry, s.ReplaceAfter = Duration(time.Second), Duration(2*time.Second-2)
		}, "twice the heartbeat-expiry"},
		"reads nowhere":  {func(s *Settings) { s.Reads = "standby" }, "primary or spread"},
		"never before":   {func(s *Settings) { s.ReplaceAfter = -1 }, "0s for never"},
		"hold too short": {func(s *Settings) { s.Hold = Duration(99 * time.Millisecond) }, "100ms to 5m"},
		"hold too long":  {func(s *Settings) { s.Hold = Duration(5*time.Minute + 1) }, "100ms to 5m"},
	} {
		t.Run(name, func(t *testing.T) {
			s := DefaultSettings()
			c.change(&s)
			require.ErrorContains(t, s.Validate(), c.says)
		})
	}
}

func TestSettingsAtTheirBoundsAreTaken(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"interval": func(s *Settings) { s.HeartbeatInterval = s.HeartbeatExpiry / 2 },
		"retry":    func(s *Settings) { s.RetryInterval = 10 * s.HeartbeatExpiry },
		"copies":   func(s *Settings) { s.WantCopies, s.MinCopies = 9, 9 },
		"hold":     func(s *Settings) { s.Hold = Duration(5 * time.Minute) },
		"expiry":   func(s *Settings) { s.HeartbeatExpiry, s.ReplaceAfter = math.MaxInt64, 0 },
		"spread":   func(s *Settings) { s.Reads = ReadsSpread },
		"reads":    func(s *Settings) { s.Reads = "" }, // of an older registry
		"replace":  func(s *Settings) { s.HeartbeatExpiry, s.ReplaceAfter = Duration(time.Second), Duration(2*time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			s := DefaultSettings()
			change(&s)
			require.NoError(t, s.Validate())
		})
	}
}

func TestDuration(t *testing.T) {
	b, err := json.Marshal(Duration(300 * time.Millisecond))
	require.NoError(t, err)
	require.Equal(t, `"300ms"`, string(b))
	var d Duration
	require.NoError(t, json.Unmarshal([]byte(`"1m30s"`), &d))
	require.Equal(t, Duration(90*time.Second), d)
	require.ErrorContains(t, json.Unmarshal([]byte(`"300"`), &d), "300ms or 10s")
	require.Error(t, json.Unmarshal([]byte(`300`), &d))
}
