//go:build !linux

package main

import (
	"runtime/debug"

	"handoff/configs"
)

// guardMemory leaves it to the system whether a process that dies is dumped: Go's own never are, unless that is asked for.
func guardMemory(dumps configs.CoreDumps) error {
	if dumps == configs.CoreDumpsOn {
		debug.SetTraceback("crash")
	}
	return nil
}
