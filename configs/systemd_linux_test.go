package configs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The units are what systemd takes, without a warning.
func TestUnitsAreTaken(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("systemd is not installed: ", err)
	}
	units, err := filepath.Glob("systemd/*.service")
	if err != nil || len(units) < 2 {
		t.Fatal(units, err)
	}
	for _, unit := range units {
		t.Run(filepath.Base(unit), func(t *testing.T) {
			text, err := os.ReadFile(unit)
			if err != nil {
				t.Fatal(err)
			}
			here := strings.ReplaceAll(string(text), "/usr/local/bin/handoff", os.Args[0]) // it must be there
			path := filepath.Join(t.TempDir(), filepath.Base(unit))
			if err := os.WriteFile(path, []byte(here), 0o600); err != nil {
				t.Fatal(err)
			}
			if said, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput(); err != nil || len(said) > 0 {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
}
