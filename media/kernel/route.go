//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hop is where the packets of a way leave.
type hop struct {
	ifindex int
	mtu     uint16 // 0 for any
	next    netip.Addr
	// framed tells that to and out, the addresses of an Ethernet frame, are known, and that XDP may
	// send it.
	framed  bool
	to, out [6]byte
}

// ends are the addresses of a way: all that its hop depends on.
type ends struct{ from, local, out, to netip.Addr }

func (w Way) ends() ends {
	return ends{w.From.Addr(), w.Local.Addr(), w.Out.Addr(), w.To.Addr()}
}

// unmapped is the way with IPv4 as IPv4.
func (w Way) unmapped() Way {
	for _, a := range []*netip.AddrPort{&w.From, &w.Local, &w.Out, &w.To} {
		*a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return w
}

// settle gives unspecified addresses of this machine those that the routes to the peers say.
func (n *network) settle(w *Way) error {
	for _, end := range []struct{ own, peer *netip.AddrPort }{{&w.Local, &w.From}, {&w.Out, &w.To}} {
		if !end.own.Addr().IsUnspecified() {
			continue
		}
		source, err := n.source(end.peer.Addr())
		if err != nil {
			return err
		}
		*end.own = netip.AddrPortFrom(source, end.own.Port())
	}
	return nil
}

// source is from the cache, or asks the kernel.
func (n *network) source(peer netip.Addr) (netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known, ok := n.sources[peer]; ok {
		return known, nil
	}
	if n.closed {
		return netip.Addr{}, ErrClosed
	}
	route, err := n.route(peer, netip.Addr{})
	if err != nil {
		return netip.Addr{}, err
	}
	source, ok := netip.AddrFromSlice(route.Src)
	if !ok {
		return netip.Addr{}, fmt.Errorf("%w: no source address toward %s", ErrRoute, peer)
	}
	if len(n.sources) >= maxHops {
		clear(n.sources)
	}
	n.sources[peer] = source.Unmap()
	return source.Unmap(), nil
}

// check tells what no route could help.
func (w Way) check(first, last uint16) error {
	if port := w.Local.Port(); port < first || port > last {
		return fmt.Errorf("%w: %d", ErrRange, port)
	}
	for _, a := range []netip.AddrPort{w.From, w.Local, w.Out, w.To} {
		ip := a.Addr()
		switch {
		case !ip.IsValid(), ip.IsUnspecified(), ip.IsMulticast(), ip.Zone() != "", a.Port() == 0, ip == broadcast:
			return fmt.Errorf("%w: %s", ErrAddress, a)
		case ip.Is4() != w.Local.Addr().Is4():
			return fmt.Errorf("%w: %s, %s", ErrFamilies, w.Local.Addr(), ip)
		}
	}
	return nil
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// lookUp asks the kernel how the packets of a way come and leave, and sees that the devices have hooks.
// Called with n.mu held.
func (n *network) lookUp(e ends) (hop, bool, error) {
	owner, err := n.owner(e.local)
	if err != nil {
		return hop{}, false, err
	}
	back, err := n.route(e.from, e.local)
	if err != nil {
		return hop{}, false, err
	}
	forth, err := n.route(e.to, e.out)
	if err != nil {
		return hop{}, false, err
	}
	for _, ifindex := range []int{owner, back.LinkIndex, forth.LinkIndex} {
		if err := n.attach(ifindex); err != nil {
			return hop{}, false, err
		}
	}
	device := n.attached[forth.LinkIndex].device
	h := hop{ifindex: forth.LinkIndex, next: e.to}
	if device.MTU <= 0xffff { // that of loopback is more
		h.mtu = uint16(device.MTU)
	}
	if gateway, ok := netip.AddrFromSlice(forth.Gw); ok && len(forth.Gw) != 0 {
		h.next = gateway.Unmap()
	}
	if h.next.Is4() != e.to.Is4() {
		return hop{}, false, fmt.Errorf("%w: the gateway %s is of the other family", ErrRoute, h.next)
	}
	n.frame(&h)
	return h, forth.Type == unix.RTN_LOCAL, nil
}

// owner is the device that has a local address; loopback has all of 127.0.0.0/8.
func (n *network) owner(addr netip.Addr) (int, error) {
	list, err := n.handle.AddrList(nil, family(addr))
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return 0, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && ip.Unmap() == addr {
			return a.LinkIndex, nil
		}
	}
	route, err := n.route(addr, netip.Addr{})
	if err != nil {
		return 0, err
	}
	if route.Type != unix.RTN_LOCAL {
		return 0, fmt.Errorf("%w: %s is no address of this machine", ErrRoute, addr)
	}
	return route.LinkIndex, nil
}

func (n *network) route(to, from netip.Addr) (netlink.Route, error) {
	options := &netlink.RouteGetOptions{}
	if from.IsValid() {
		options.SrcAddr = net.IP(from.AsSlice())
	}
	routes, err := n.handle.RouteGetWithOptions(net.IP(to.AsSlice()), options)
	if err != nil {
		return netlink.Route{}, fmt.Errorf("%w: from %s to %s: %w", ErrRoute, from, to, err)
	}
	if len(routes) == 0 {
		return netlink.Route{}, fmt.Errorf("%w: from %s to %s", ErrRoute, from, to)
	}
	route := routes[0]
	if (route.Type != unix.RTN_UNICAST && route.Type != unix.RTN_LOCAL) || route.Via != nil || route.Encap != nil || route.MPLSDst != nil {
		return netlink.Route{}, fmt.Errorf("%w: from %s to %s: %s", ErrRoute, from, to, route)
	}
	return route, nil
}

// frame finds the addresses of the Ethernet frame, for XDP. While the neighbour is unknown tc sends,
// which makes the kernel ask for it; the watch then sees the answer.
func (n *network) frame(h *hop) {
	here := n.attached[h.ifindex]
	if here.xdp == nil || len(here.device.HardwareAddr) != len(h.out) {
		return
	}
	neighbours, err := n.handle.NeighList(h.ifindex, family(h.next))
	if err != nil {
		return // and so tc sends
	}
	const known = netlink.NUD_PERMANENT | netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE
	for _, near := range neighbours {
		ip, ok := netip.AddrFromSlice(near.IP)
		if ok && ip.Unmap() == h.next && near.State&known != 0 && len(near.HardwareAddr) == len(h.to) {
			copy(h.to[:], near.HardwareAddr)
			copy(h.out[:], here.device.HardwareAddr)
			h.framed = true
			return
		}
	}
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
