package main

import (
	"fmt"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"handoff/configs"
)

// guardMemory keeps this process's memory, in which keys and passwords lie, out of core dumps and from other processes
// of its user; or, when they are wanted, lets a crash leave one.
func guardMemory(dumps configs.CoreDumps) error {
	if dumps == configs.CoreDumpsOn {
		debug.SetTraceback("crash")
		return nil
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("limit of core dumps: %w", err)
	}
	limit.Cur = 0 // the process after this one may be told otherwise
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("limit of core dumps: %w", err)
	}
	// A handler that core_pattern pipes to is not bound by the limit; and nobody but root may trace.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("core dumps: %w", err)
	}
	return nil
}
