package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestCollectorIsTunedToTheMachine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells its memory in a file")
	}
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	t.Cleanup(func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	})
	tuneCollector()
	if got := debug.SetMemoryLimit(-1); got == math.MaxInt64 || got < 64<<20 {
		t.Errorf("memory limit %d", got)
	}
	if got := debug.SetGCPercent(100); got != gcPercent {
		t.Errorf("GOGC %d", got)
	}
	debug.SetMemoryLimit(limit)
	t.Setenv("GOGC", "100")
	t.Setenv("GOMEMLIMIT", "off")
	tuneCollector()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("GOGC %d, although the environment has its own", got)
	}
	if got := debug.SetMemoryLimit(-1); got != limit {
		t.Errorf("memory limit %d, although the environment has its own", got)
	}
}
