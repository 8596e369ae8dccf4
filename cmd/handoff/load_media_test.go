//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestLoadMedia(t *testing.T) {
	listen := "--listen=" + network()(1)
	tests := []struct {
		name string
		args []string
		exit int
		out  []string
	}{
		{"plain", []string{"--calls", "3", "--path", "portable"}, exitOK, []string{"3 calls for 200ms, in bursts, through the portable path", "received 60", "corrupted 0"}},
		{"evenly spread, SRTP on one side", []string{"--calls", "3", "--arrival", "spread", "--srtp"}, exitOK, []string{"evenly spread", "received 60"}},
		{"impaired", []string{"--calls", "3", "--loss", "50"}, exitOK, []string{"withheld"}},
		{"more calls than ports", []string{"--calls", "3", "--ports", "10000-10007"}, exitError, []string{"call 3 of 3"}},
		{"a path that is none", []string{"--path", "tunnel"}, exitError, []string{`path "tunnel"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			args := append([]string{"load", "media", listen, "--duration", "200ms"}, tt.args...)
			if got := run(args, streams{&out, &out}); got != tt.exit {
				t.Errorf("exit code %d, want %d", got, tt.exit)
			}
			words := strings.Join(strings.Fields(out.String()), " ")
			for _, part := range tt.out {
				if !strings.Contains(words, part) {
					t.Errorf("no %q in\n%s", part, &out)
				}
			}
		})
	}
}
