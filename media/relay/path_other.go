//go:build !linux

package relay

import (
	"errors"
	"net/netip"
	"runtime"

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

// Unpin has nothing to do.
func Unpin(string) error { return nil }
