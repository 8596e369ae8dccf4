package main

import (
	"bytes"
	"os"
	"testing"
)

func TestWhatATerminalIsTakenFor(t *testing.T) {
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as terminals are
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	for _, tt := range []struct {
		name, noColor, term, columns string
		colourful                    bool
		wide                         int
	}{
		{"as it is", "", "xterm", "", true, 0},
		{"without colours, by wish", "1", "xterm", "", false, 0},
		{"without colours, as it has none", "", "dumb", "", false, 0},
		{"as wide as somebody says", "", "xterm", "60", true, 60},
		{"as wide as nonsense", "", "xterm", "wide", true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", tt.noColor)
			t.Setenv("TERM", tt.term)
			t.Setenv("COLUMNS", tt.columns)
			if got := colourful(device); got != tt.colourful {
				t.Errorf("colours: %v", got)
			}
			if colourful(&bytes.Buffer{}) {
				t.Error("what is piped has colours")
			}
			if got := columns(device); got != tt.wide {
				t.Errorf("%d columns", got)
			}
		})
	}
}
