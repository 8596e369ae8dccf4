//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// spent is the CPU time that all threads of a process, and some kernel threads, have used, to the nanosecond.
func spent(t testing.TB, process int, threads ...int) time.Duration {
	t.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", process))
	if err != nil || len(paths) == 0 {
		t.Fatalf("process %d has no threads any more", process)
	}
	for _, thread := range threads {
		path := fmt.Sprintf("/proc/%d/schedstat", thread)
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("a kernel thread is no more: %v", err)
		}
		paths = append(paths, path)
	}
	var sum time.Duration
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // a thread that ended since
		}
		used, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(used, 10, 64)
		if err != nil {
			t.Fatalf("%s: %q", path, text)
		}
		sum += time.Duration(ns)
	}
	return sum
}

// idle is how long a core has run nothing, to 10 ms.
func idle(t testing.TB, core int) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		// cpuN and ticks: user, nice, system, idle, waiting for a disk, …
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[0] != fmt.Sprintf("cpu%d", core) {
			continue
		}
		still, _ := strconv.Atoi(fields[4])
		waiting, _ := strconv.Atoi(fields[5])
		return time.Duration(still+waiting) * clockTick
	}
	t.Fatalf("/proc/stat has no core %d", core)
	return 0
}

// loudly runs f on a core, before all that has no real-time priority.
func loudly(t testing.TB, core int, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, only unix.CPUSet
	only.Set(core)
	if err := errors.Join(unix.SchedGetaffinity(0, &before), unix.SchedSetaffinity(0, &only)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 10}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		t.Fatalf("real-time priority: %v", err)
	}
	defer func() {
		attr.Policy, attr.Priority = unix.SCHED_NORMAL, 0
		if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
			t.Error(err)
		}
	}()
	f()
}

// resident is the memory of a process, in bytes.
func resident(t testing.TB, process int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", process))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
