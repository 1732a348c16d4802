package cluster

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
)

// sampleProfile is a person's record with its read-only keys.
//
//go:embed profile.json
var sampleProfile []byte

// profileFile returns the absolute path of the profile that the nodes are born
// with, and writes the sample to dir where none is named.
func profileFile(dir, named string) (string, error) {
	if named != "" {
		file, err := filepath.Abs(named)
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(file); err != nil {
			return "", fmt.Errorf("the profile: %w", err)
		}
		return file, nil
	}
	file := filepath.Join(dir, "profile.json")
	if err := os.WriteFile(file, sampleProfile, 0o644); err != nil {
		return "", fmt.Errorf("write the sample profile: %w", err)
	}
	return file, nil
}
