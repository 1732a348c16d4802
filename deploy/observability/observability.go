// Package observability holds what a cluster is watched with: rules for Prometheus,
// a dashboard for Grafana and the runbook of the alerts. They are files to be copied;
// this package reads them for the tests, which judge them against what a running
// cluster exports.
package observability

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed README.md rules.yml prometheus.yml dashboard.json
var files embed.FS

// Rule is a recording rule, or an alerting one.
type Rule struct {
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         time.Duration     `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// Rules returns the rules, in order. A field that rules do not have is an error.
func Rules() ([]Rule, error) {
	var f struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []Rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := decode("rules.yml", &f); err != nil {
		return nil, err
	}
	var out []Rule
	for _, g := range f.Groups {
		out = append(out, g.Rules...)
	}
	return out, nil
}

// Job is a kind of target, and the labels that it has been given.
type Job struct {
	Name   string
	Labels map[string]string
}

// Jobs returns the jobs of the example configuration.
func Jobs() ([]Job, error) {
	var f struct {
		Global  map[string]string `yaml:"global"`
		Rules   []string          `yaml:"rule_files"`
		Configs []struct {
			Name    string `yaml:"job_name"`
			Targets []struct {
				Targets []string          `yaml:"targets"`
				Labels  map[string]string `yaml:"labels"`
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := decode("prometheus.yml", &f); err != nil {
		return nil, err
	}
	var out []Job
	for _, c := range f.Configs {
		for _, t := range c.Targets {
			out = append(out, Job{c.Name, t.Labels})
		}
	}
	return out, nil
}

func decode(name string, out any) error {
	text, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(out); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Panel is one panel of the dashboard.
type Panel struct {
	Title       string `json:"title"`
	Type        string `json:"type"` // "row" for the head of a section
	Description string `json:"description"`
	Targets     []struct {
		Expr   string `json:"expr"`
		Legend string `json:"legendFormat"`
	} `json:"targets"`
}

// Panels returns the panels of the dashboard, in order.
func Panels() ([]Panel, error) {
	text, err := files.ReadFile("dashboard.json")
	if err != nil {
		return nil, err
	}
	var d struct {
		Panels []Panel `json:"panels"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("dashboard.json: %w", err)
	}
	return d.Panels, nil
}

// Runbook returns the headings of the runbook as they are linked to, in order.
func Runbook() ([]string, error) {
	text, err := files.ReadFile("README.md")
	if err != nil {
		return nil, err
	}
	_, text, _ = bytes.Cut(text, []byte("\n# Runbook\n"))
	var out []string
	for line := range strings.Lines(string(text)) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			out = append(out, strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-"))
		}
	}
	return out, nil
}
