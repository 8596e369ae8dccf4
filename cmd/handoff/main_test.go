package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.yaml", "sip: {public: 127.0.0.1, listen: [\"udp:127.0.0.1:0\"]}\nwatson: {targets: [\"sips:watson.example.net\"]}\n")
	logged := write("logged.yaml", "sip: {public: 127.0.0.1, listen: [\"udp:127.0.0.1:0\"], tls: {key_log: keys.log}}\nwatson: {targets: [\"sips:watson.example.net\"]}\n")
	bad := write("bad.yaml", "sip: {public: 127.0.0.1, listen: [\"udp:127.0.0.1:0\"]}\nwatson: {targets: [\"sip:watson.example.net\"]}\nfrobnicate: 1\n")
	tests := []struct {
		name     string
		args     []string
		exit     int
		out, err string // parts of what is written
	}{
		{"version", []string{"version"}, exitOK, "handoff ", ""},
		{"help", []string{"--help"}, exitOK, "Usage: handoff", ""},
		{"nothing", nil, exitUsage, "", "handoff:"},
		{"an unknown command", []string{"frobnicate"}, exitUsage, "", "frobnicate"},
		{"an unknown flag", []string{"version", "--frob"}, exitUsage, "", "--frob"},
		{"check of a file that gives the TLS secrets away", []string{"check", "--config", logged}, exitOK, "ok", "warning: " + logged + ":1:"},
		{"check without a file", []string{"check"}, exitUsage, "", "--config"},
		{"check of a good file", []string{"check", "--config", good}, exitOK, "ok", ""},
		{"check of a bad file", []string{"check", "--config", bad}, exitError, "", "bad.yaml:2:"},
		{"check names unknown keys too", []string{"check", "--config", bad}, exitError, "", "frobnicate"},
		{"check of a file that is not there", []string{"check", "--config", filepath.Join(dir, "none.yaml")}, exitError, "", "none.yaml"},
		{"serve with a bad file", []string{"serve", "--config", bad}, exitError, "", "bad.yaml:2:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if got := run(tt.args, streams{&out, &errs}); got != tt.exit {
				t.Errorf("exit code %d, want %d", got, tt.exit)
			}
			if !strings.Contains(out.String(), tt.out) || !strings.Contains(errs.String(), tt.err) {
				t.Errorf("wrote %q and %q", out.String(), errs.String())
			}
		})
	}
}
