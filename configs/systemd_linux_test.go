package configs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// analyze runs systemd-analyze on a unit whose programs are all there.
func analyze(t *testing.T, unit string, args ...string) (said string, err error) {
	t.Helper()
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("systemd is not installed: ", err)
	}
	text, err := os.ReadFile(filepath.Join("systemd", unit))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), unit)
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/handoff", os.Args[0])), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, append(args, path)...).CombinedOutput()
	return string(out), err
}

// The units are what systemd takes, without a warning, and what they leave open is little: in tenths, as systemd weighs it.
func TestUnitsAreTakenAndClosed(t *testing.T) {
	for unit, exposure := range map[string]string{"handoff.service": "25", "handoff-portable.service": "15"} {
		t.Run(unit, func(t *testing.T) {
			if said, err := analyze(t, unit, "verify", "--man=no"); err != nil || said != "" {
				t.Errorf("%v\n%s", err, said)
			}
			said, err := analyze(t, unit, "security", "--offline=true", "--no-pager", "--threshold="+exposure)
			if err != nil {
				t.Errorf("%v\n%s", err, said)
			}
			if lines := strings.Split(strings.TrimSpace(said), "\n"); !strings.Contains(lines[len(lines)-1], "Overall exposure level") {
				t.Errorf("nothing was weighed:\n%s", said)
			} else {
				t.Log(lines[len(lines)-1])
			}
		})
	}
	units, err := filepath.Glob("systemd/*.service")
	if err != nil || len(units) != 2 {
		t.Errorf("other units: %v, %v", units, err)
	}
}
