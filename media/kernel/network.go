//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// maxHops bounds the cache of routes: as many pairs of peers as may call at the same time, and some.
const maxHops = 8192

// network is what a Path knows of devices, routes and neighbours.
type network struct {
	handle  *netlink.Handle
	tc, xdp *ebpf.Program
	hook    Hook
	filter  filterID
	pins    pins
	log     *zap.Logger

	mu       sync.Mutex // held while the kernel is asked; never together with a Path's
	hops     map[ends]route
	sources  map[netip.Addr]netip.Addr // by which this machine speaks to a peer
	attached map[int]*attachment
	clsact   bool // tcx was tried and cannot be had
	closed   bool
}

// route is a hop of the cache. local: its packets stay on this machine.
type route struct {
	hop
	local bool
}

func newNetwork(cfg Config, p pins, programs relayPrograms) (*network, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	return &network{
		handle: handle, tc: programs.RelayTc, xdp: programs.RelayXdp,
		hook: cfg.Hook, filter: filterID{cfg.First, cfg.Last}, pins: p, log: cfg.Log,
		hops: map[ends]route{}, sources: map[netip.Addr]netip.Addr{}, attached: map[int]*attachment{}, clsact: cfg.Hook == HookClsact,
	}, nil
}

// hopOf is from the cache, or asks the kernel.
func (n *network) hopOf(w Way, own func(port uint16) bool) (hop, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return hop{}, ErrClosed
	}
	r, known := n.hops[w.ends()]
	if !known {
		h, local, err := n.lookUp(w.ends())
		if err != nil {
			return hop{}, err
		}
		if len(n.hops) >= maxHops {
			clear(n.hops)
		}
		r = route{h, local}
		n.hops[w.ends()] = r
	}
	if r.local && own(w.To.Port()) {
		return hop{}, fmt.Errorf("%w: %s", ErrOwnPort, w.To)
	}
	return r.hop, nil
}

// devices tells by what each device meets media.
func (n *network) devices() map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	by := make(map[string]string, len(n.attached))
	for _, a := range n.attached {
		by[a.device.Name] = a.String()
	}
	return by
}

// forget is called when something has changed: what is known may be wrong, and devices may be gone.
func (n *network) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.hops)
	clear(n.sources)
	for ifindex, a := range n.attached {
		link, err := n.handle.LinkByIndex(ifindex)
		switch {
		case err == nil:
			a.device = *link.Attrs()
		case errors.As(err, new(netlink.LinkNotFoundError)):
			delete(n.attached, ifindex)
			if err := a.detach(); err != nil {
				n.log.Debug("let go of a device that is gone", zap.Int("ifindex", ifindex), zap.Error(err))
			}
		}
	}
}

// close detaches unless there are pins.
func (n *network) close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	var errs []error
	for ifindex, a := range n.attached {
		delete(n.attached, ifindex)
		if n.pins.folder == "" {
			errs = append(errs, a.detach())
		} else {
			errs = append(errs, a.leave())
		}
	}
	n.handle.Close()
	return errors.Join(errs...)
}
