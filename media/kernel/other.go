//go:build !linux || !(amd64 || arm64)

package kernel

import "handoff/media/quality"

// Path is not to be had on this system.
type Path struct{}

// Open returns an Unsupported.
func Open(Config) (*Path, error) { return nil, &Unsupported{Missing: MissingSystem} }

// Unpin returns an Unsupported.
func Unpin(string) error { return &Unsupported{Missing: MissingSystem} }

// Start is never reached: there is no Path.
func (*Path) Start(Way, quality.State) error { return ErrClosed }

// Stop is never reached.
func (*Path) Stop(uint16) Counts { return Counts{} }

// Read is never reached.
func (*Path) Read(uint16) (Counts, bool) { return Counts{}, false }

// Sample is never reached.
func (*Path) Sample(uint16) {}

// Sampled is never reached.
func (*Path) Sampled(uint16) []byte { return nil }

// Devices is never reached.
func (*Path) Devices() map[string]string { return nil }

// Adopted is never reached.
func (*Path) Adopted() []Way { return nil }

// Take is never reached.
func (*Path) Take(uint16) error { return ErrClosed }

// Close is never reached.
func (*Path) Close() error { return nil }
