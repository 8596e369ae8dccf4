package kernel

import (
	"errors"
	"fmt"
)

// What Start refuses. The call stays in userspace.
var (
	ErrClosed   = errors.New("the path is closed")
	ErrRange    = errors.New("the port has no slot")
	ErrAddress  = errors.New("not a plain unicast address")
	ErrFamilies = errors.New("IPv4 and IPv6 are not translated into each other")
	ErrOwnPort  = errors.New("the way leads to a port of our own")
	ErrRoute    = errors.New("no usable route")
	ErrDevice   = errors.New("not a device with Ethernet headers")
)

// ErrInUse is returned by Open when another process has the folder of pins.
var ErrInUse = errors.New("another process uses the pins")

// ErrNotAdopted is returned by Take for a port that no earlier process left forwarding.
var ErrNotAdopted = errors.New("no slot of an earlier process")

// Missing is what the machine lacks.
type Missing uint8

const (
	// MissingSystem is Linux on amd64 or arm64.
	MissingSystem Missing = iota
	// MissingKernel is a kernel that is new enough, with what it must be built with.
	MissingKernel
	// MissingCapability is one of CAP_BPF and CAP_NET_ADMIN.
	MissingCapability
	// MissingBPFFS is a bpffs that the user may write to, for the pins.
	MissingBPFFS
)

// Missings lists them all.
var Missings = []Missing{MissingSystem, MissingKernel, MissingCapability, MissingBPFFS}

func (m Missing) String() string {
	switch m {
	case MissingSystem:
		return "system"
	case MissingKernel:
		return "kernel"
	case MissingCapability:
		return "capability"
	case MissingBPFFS:
		return "bpffs"
	}
	return "unknown"
}

// needs says what would help.
func (m Missing) needs() string {
	switch m {
	case MissingSystem:
		return "it needs Linux on amd64 or arm64"
	case MissingKernel:
		return "it needs Linux 5.15 or later with BPF, for XDP 5.18"
	case MissingCapability:
		return "it needs CAP_BPF and CAP_NET_ADMIN"
	case MissingBPFFS:
		return "its pins need a folder in a mounted bpffs (mount -t bpf) that this user may write to"
	}
	return ""
}

// Unsupported is the error of Open on a machine that cannot forward in the kernel.
type Unsupported struct {
	Missing Missing
	// Err is what the kernel answered.
	Err error
}

func (u *Unsupported) Error() string {
	text := "the kernel path is not supported here: " + u.Missing.needs()
	if u.Err != nil {
		text += ": " + u.Err.Error()
	}
	return text
}

func (u *Unsupported) Unwrap() error { return u.Err }

// Mismatch is the error of Open when the pins are of another layout or another range of ports. They
// can be removed (Unpin) when no call depends on them.
type Mismatch struct{ Found, Want string }

func (m *Mismatch) Error() string {
	return fmt.Sprintf("the pins are of another version or range of ports: found %s, want %s", m.Found, m.Want)
}
