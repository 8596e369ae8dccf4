package main

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
)

// gcPercent lets garbage grow to several times what is live before it is collected. A call leaves some 70 KB behind
// and keeps a fraction of it: with Go's default a quarter of the CPU went into collecting.
const gcPercent = 800

// tuneCollector trades memory for CPU, and collects in earnest when half of the machine's memory is taken. What GOGC
// and GOMEMLIMIT say comes first.
func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if total := machineMemory(); os.Getenv("GOMEMLIMIT") == "" && total > 0 {
		debug.SetMemoryLimit(total / 2)
	}
}

// machineMemory is what this machine, or the container, has in bytes; 0 where Linux does not tell.
func machineMemory() int64 {
	info, _ := os.ReadFile("/proc/meminfo")
	_, rest, _ := bytes.Cut(info, []byte("MemTotal:"))
	var total int64
	if fields := bytes.Fields(rest); len(fields) > 0 {
		total, _ = strconv.ParseInt(string(fields[0]), 10, 64)
		total <<= 10 // it counts in KB
	}
	limit, _ := os.ReadFile("/sys/fs/cgroup/memory.max") // "max" without one
	if n, err := strconv.ParseInt(string(bytes.TrimSpace(limit)), 10, 64); err == nil && (total == 0 || n < total) {
		total = n
	}
	return total
}
