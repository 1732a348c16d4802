package daemon

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// RegisterBuildInfo registers the metric understudy_build_info, which is always
// 1 and tells the release by its labels.
func RegisterBuildInfo(reg prometheus.Registerer, role string) error {
	version, revision := build()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "understudy_build_info",
		Help: "Always 1; the labels tell the role and the build.",
		ConstLabels: prometheus.Labels{
			"role": role, "version": version, "revision": revision, "go_version": runtime.Version(),
		},
	})
	info.Set(1)
	if err := reg.Register(info); err != nil {
		return fmt.Errorf("register understudy_build_info: %w", err)
	}
	return nil
}

// build returns the version and the source revision of this binary, "unknown"
// where it was built without.
func build() (version, revision string) {
	version, revision = "unknown", "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version, revision
	}
	if info.Main.Version != "" {
		version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return version, revision
}
