package stack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// listener is one bound TCP or TLS address.
type listener struct {
	net.Listener
	transport Transport
	at        netip.AddrPort // as it was asked for: the system may say [::] of 0.0.0.0
}

// bind opens all sockets of the configuration, or none.
func (s *Stack) bind() error {
	for _, l := range s.cfg.Listen {
		if err := s.bindOne(l); err != nil {
			return errors.Join(fmt.Errorf("listen %s:%s: %w", l.Transport, l.Addr, err), s.closeListeners())
		}
	}
	return nil
}

func (s *Stack) bindOne(l Listen) error {
	if l.Transport == UDP {
		return s.bindUDP(l.Addr)
	}
	ln, err := s.listenTCP(l)
	if err != nil {
		return err
	}
	s.listeners = append(s.listeners, listener{ln, l.Transport, netip.AddrPortFrom(l.Addr.Addr(), addrPortOf(ln.Addr()).Port())})
	s.note(l.Transport, addrPortOf(ln.Addr()))
	return nil
}

// bindUDP makes one socket for each local address behind a wildcard: one bound to the wildcard would
// answer from whatever address the route prefers, and the peer would not know it.
func (s *Stack) bindUDP(addr netip.AddrPort) error {
	addrs := []netip.Addr{addr.Addr()}
	if addr.Addr().IsUnspecified() {
		var err error
		if addrs, err = localAddrs(addr.Addr().Is4()); err != nil {
			return err
		}
	}
	port := addr.Port()
	for _, ip := range addrs {
		conn, err := s.listenUDP(netip.AddrPortFrom(ip, port))
		if err != nil {
			return err
		}
		conn.SetReadBuffer(udpBuffer) // best effort: net.core.rmem_max may allow less
		local := addrPortOf(conn.LocalAddr())
		port = local.Port() // a free port is chosen once and the same everywhere
		raw, err := conn.SyscallConn()
		if err != nil {
			return err
		}
		s.sockets = append(s.sockets, &udpSocket{conn: conn, raw: raw, local: local})
		s.note(UDP, local)
	}
	return nil
}

// note remembers the first address of each transport.
func (s *Stack) note(t Transport, addr netip.AddrPort) {
	if !s.addrs[t].IsValid() {
		s.addrs[t] = addr
	}
}

// localAddrs lists the addresses of this machine's interfaces. Link-local ones are left out: they
// mean nothing without their interface.
func localAddrs(v4 bool) ([]netip.Addr, error) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, a := range found {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		if ip := prefix.Addr().Unmap(); ip.Is4() == v4 && !ip.IsLinkLocalUnicast() {
			addrs = append(addrs, ip)
		}
	}
	if addrs == nil {
		return nil, errors.New("this machine has no address of that family")
	}
	return addrs, nil
}

func (s *Stack) closeListeners() error {
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	for _, u := range s.sockets {
		u.close()
	}
	return errors.Join(errs...)
}
