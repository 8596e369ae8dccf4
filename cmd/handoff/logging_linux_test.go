package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"handoff/sip/simulator/twilio"
)

// TestWhoReadsTheLogHoldsNoCallUp: he stops when the edge serves, or is gone then. Calls come and go, and the edge ends as ever.
func TestWhoReadsTheLogHoldsNoCallUp(t *testing.T) {
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, then := range map[string]string{"he reads no more": "; exec sleep 90 >/dev/null 2>&1", "he is gone": ""} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			program := filepath.Join(dir, "handoff")
			pipe := smallPipe(t, filepath.Join(dir, "log"))
			script := fmt.Sprintf("#!/bin/sh\n( sed -u '/\"serving\"/q'%[2]s ) <%[1]s/log >&2 &\nexec %[3]s \"$@\" 2>%[1]s/log\n", dir, then, self)
			if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			r := newRestarts(t, restartConfig{YAML: portable + "log: level: debug\n", Program: program})
			pipe.Close() // it is the edge's now, and its reader's
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

// smallPipe makes a pipe with a name that holds some lines, as long as somebody has it open.
func smallPipe(t *testing.T, name string) *os.File {
	t.Helper()
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pipe.Close() })
	if _, err := unix.FcntlInt(pipe.Fd(), unix.F_SETPIPE_SZ, os.Getpagesize()); err != nil {
		t.Fatal(err)
	}
	return pipe
}
