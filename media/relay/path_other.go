//go:build !linux

package relay

import (
	"errors"
	"net/netip"
	"runtime"
	"time"

	"handoff/media/quality"
)

// Path can't be had.
type Path struct{}

type system struct{}

// New returns an *Unsupported.
func New(Config) (*Path, error) {
	return nil, &Unsupported{"Linux", errors.New("this is " + runtime.GOOS)}
}

func (*Path) Close() {}

// Speaks is never called: there is no path.
func (*Path) Speaks(netip.Addr) bool { return false }

func (*Path) Open(netip.Addr, uint16, quality.Report) (*Port, error) {
	return nil, &Unsupported{"Linux", errors.ErrUnsupported}
}

func (*Port) Send([]byte, netip.AddrPort) {}
func (*Port) Freeze()                     {}
func (*Port) Thaw()                       {}
func (*Port) Close()                      {}
func (*Port) Descriptors() []int          { return nil }
func (*Port) Yield(time.Duration) bool    { return false }
func (*Port) Retake()                     {}

// Take is Open.
func (path *Path) Take(ip netip.Addr, port uint16) (*Port, error) {
	return path.Open(ip, port, quality.Report{})
}

func (*Path) Shares() bool   { return false }
func (*Path) Reclaim() error { return nil }
func (*Path) Silence() int   { return -1 }

// Unpin has nothing to do.
func Unpin(string) error { return nil }
