package media

import (
	"net"
	"net/netip"
	"slices"

	"handoff/media/sdp"
)

// home is where media of one family arrive: what sockets are bound to, and what peers are told.
type home struct{ listen, public netip.Addr }

// homes are the family that peers are offered first, and the other one if there is one.
func (c Config) homes() []home {
	all := []home{newHome(c.Listen, c.Public)}
	if c.PublicIPv6.IsValid() {
		all = append(all, newHome(c.ListenIPv6, c.PublicIPv6))
	}
	return all
}

// newHome narrows all addresses down to the public one if this machine has it: the system would let packets
// leave by whichever address is nearest to the peer, and a peer takes them from the one that it was told.
// Behind a NAT nobody but the operator knows which of several it forwards to.
func newHome(listen, public netip.Addr) home {
	if listen.IsUnspecified() && local(public) {
		listen = public
	}
	return home{listen, public}
}

// local tells whether an address is one of this machine's.
func local(ip netip.Addr) bool {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// home returns the one that a peer can reach; of a peer that nobody knows yet, the first.
func (r *Relay) home(peer netip.Addr) (home, error) {
	if !peer.IsValid() {
		return r.homes[0], nil
	}
	for _, h := range r.homes {
		if h.reaches(peer) {
			return h, nil
		}
	}
	return home{}, ErrFamily
}

// Own tells whether what is sent to an address comes back to the edge: to a media port of its own, where two calls could feed each
// other, or to the machine that it stands on, unless peers do so, too.
func (r *Relay) Own(at netip.AddrPort) bool {
	ip := at.Addr()
	if at.Port() >= r.cfg.Ports.Min && at.Port() <= r.cfg.Ports.Max && slices.ContainsFunc(r.homes, func(h home) bool { return h.has(ip) || !r.cfg.Neighbours && h.hasAll(ip) }) {
		return true
	}
	return ip.IsLoopback() && !r.cfg.Neighbours && !slices.ContainsFunc(r.homes, func(h home) bool { return h.public.IsLoopback() })
}

// has tells whether the home's sockets are told to peers, or bound, at an address.
func (h home) has(ip netip.Addr) bool { return ip == h.public || ip == h.listen }

// hasAll tells whether they are sent what goes to an address since they are bound to all of this machine's.
func (h home) hasAll(ip netip.Addr) bool {
	return ip.IsValid() && h.listen.IsUnspecified() && h.listen.Is4() == ip.Is4() && local(ip)
}

// reaches tells whether the peer's address is of the home's family.
func (h home) reaches(peer netip.Addr) bool { return h.public.Is4() == peer.Is4() }

// at is what a peer is told of a port pair.
func (h home) at(number uint16) sdp.Local {
	return sdp.Local{
		RTP:  netip.AddrPortFrom(h.public, number),
		RTCP: netip.AddrPortFrom(h.public, number+1),
	}
}
