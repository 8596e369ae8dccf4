package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"handoff/sip/simulator/twilio"
)

// TestWhoReadsTheLogHoldsNoCallUp: he stops when the edge serves, or is gone then. Calls come and go, and the edge ends as ever.
func TestWhoReadsTheLogHoldsNoCallUp(t *testing.T) {
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, then := range map[string]string{"he reads no more": "; exec sleep 30 >/dev/null 2>&1", "he is gone": ""} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			program := filepath.Join(dir, "handoff")
			script := fmt.Sprintf("#!/bin/sh\nmkfifo %[1]s/log\n( sed -u '/\"serving\"/q'%[2]s ) <%[1]s/log >&2 &\nexec %[3]s \"$@\" 2>%[1]s/log\n", dir, then, self)
			if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			r := newRestarts(t, restartConfig{YAML: portable + "log: level: debug\n", Program: program})
			var last pair
			for range 20 {
				last = r.call(twilio.Options{})
				r.must(hearMore(r.ctx, last.phones(), 1))
				r.must(last.caller.Hangup(r.ctx))
				r.ended(last)
			}
			r.must(r.cmd.Process.Signal(syscall.SIGTERM))
			r.must(r.cmd.Wait())
			r.fair()
		})
	}
}
