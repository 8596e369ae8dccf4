package cdr

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A real disk takes the beginning of the line that does not fit.
func TestADiskThatWasFullGetsEveryLineWhole(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
			t.Fatal(err)
		}
		t.Skipf("no disk of 64 KB can be mounted: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 48<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "cdr.jsonl")
	const calls = 200 // some 60 KB
	w, seen := open(t, Config{Path: path}, calls)
	for n := range calls {
		w.Write(call(n))
	}
	eventually(t, "the disk is full", func() bool { return seen.failed.Load() > 0 })
	read(t, path)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is written", func() bool { return seen.written.Load() == calls })
	closed(t, w)
	if got := read(t, path); len(got) != calls || got[0] != "call-0" || got[calls-1] != "call-199" {
		t.Errorf("%d lines", len(got))
	}
	if seen.dropped.Load() != 0 || w.Failing() != nil {
		t.Errorf("%d dropped, %v", seen.dropped.Load(), w.Failing())
	}
}
