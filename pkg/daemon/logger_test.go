package daemon

import (
	"bytes"
	"encoding/json"
	"flag"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestLoggerJSON(t *testing.T) {
	var out bytes.Buffer
	log, err := NewLogger(&out, "json", "info")
	require.NoError(t, err)
	log.Debug().Msg("not shown")
	log.Info().Str("node", "app1").Msg("primary down, failing over")
	var line map[string]string
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, "primary down, failing over", line["message"])
	require.Equal(t, "app1", line["node"])
	at, err := time.Parse(time.RFC3339Nano, line["time"])
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Minute)
}

func TestLoggerConsole(t *testing.T) {
	var out bytes.Buffer
	log, err := NewLogger(&out, "console", "debug")
	require.NoError(t, err)
	log.Debug().Int("epoch", 3).Msg("failover complete")
	require.Regexp(t, `^\d\d:\d\d:\d\d\.\d{3} DBG failover complete epoch=3\n$`, out.String())
}

func TestLoggerRefusesUnknownSettings(t *testing.T) {
	_, err := NewLogger(&bytes.Buffer{}, "xml", "info")
	require.EqualError(t, err, `log format "xml" is not known: console or json`)
	for _, level := range []string{"loud", "", "panic", "disabled"} {
		_, err = NewLogger(&bytes.Buffer{}, "json", level)
		require.ErrorContains(t, err, "is not known: trace, debug, info, warn or error")
	}
}

func TestBuildInfo(t *testing.T) {
	reg := prometheus.NewRegistry()
	require.NoError(t, RegisterBuildInfo(reg, "monitor"))
	families, err := reg.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	require.Equal(t, "understudy_build_info", families[0].GetName())
	require.InDelta(t, 1, families[0].GetMetric()[0].GetGauge().GetValue(), 0)
	require.ErrorContains(t, RegisterBuildInfo(reg, "monitor"), "register understudy_build_info")
}

func TestParseFlagsReadsItsEnvironment(t *testing.T) {
	t.Setenv("UNDERSTUDY_HEARTBEAT_EXPIRY", "450ms")
	fs := flag.NewFlagSet("monitor", flag.ContinueOnError)
	expiry := fs.Duration("heartbeat-expiry", time.Second, "")
	require.NoError(t, ParseFlags(fs, nil))
	require.Equal(t, 450*time.Millisecond, *expiry)
	require.ErrorContains(t, ParseFlags(fs, []string{"-heartbeat-expire", "1s"}), "did you mean -heartbeat-expiry?")
}
