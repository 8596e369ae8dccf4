package stack

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"

	"go.uber.org/zap"

	"handoff/metrics"
)

// maxAddrs bounds how many addresses of one name are tried.
const maxAddrs = 8

// connect makes a flow to a target: every address of the host in the resolver's order, each with
// its own timeout. The error tells what was wrong with each.
func (s *Stack) connect(t target) (*Flow, error) {
	addrs, err := s.lookup(t)
	if err != nil {
		return nil, fmt.Errorf("%w: look up %s: %w", ErrTransport, t.host, err)
	}
	var failed error
	for _, addr := range addrs {
		f, err := s.connectTo(t, netip.AddrPortFrom(addr, t.port))
		if err == nil {
			return f, nil
		}
		if failed == nil {
			failed = err
		} else {
			failed = fmt.Errorf("%w; %w", failed, err) // errors.Join would make it several lines
		}
	}
	return nil, fmt.Errorf("%w: %s: %w", ErrTransport, t, failed)
}

func (s *Stack) lookup(t target) ([]netip.Addr, error) {
	if ip, ok := t.literal(); ok {
		return []netip.Addr{ip}, nil
	}
	return s.names.lookup(s.ctx, t.host)
}

func (s *Stack) connectTo(t target, addr netip.AddrPort) (*Flow, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if t.transport == UDP {
		u, err := s.socketFor(addr.Addr(), t.socket)
		if err != nil {
			return nil, err
		}
		return s.udpFlow(u, addr, t.peer), nil
	}
	raw, err := s.dialTCP(addr)
	if err != nil {
		return nil, err
	}
	conn := raw
	if t.transport == TLS {
		if conn, err = s.secure(raw, t); err != nil {
			raw.Close()
			return nil, err
		}
	}
	f := &Flow{stack: s, transport: t.transport, local: addrPortOf(raw.LocalAddr()), remote: addr, peer: t.peer,
		target: t, stream: newStream(conn, raw)}
	return f, s.run(f)
}

func (s *Stack) dialTCP(addr netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Timeout: s.cfg.DialTimeout}
	conn, err := d.DialContext(s.ctx, "tcp", addr.String())
	if err == nil {
		keepAlive(conn)
	}
	return conn, err
}

func (s *Stack) secure(raw net.Conn, t target) (net.Conn, error) {
	conn := tls.Client(raw, s.clientTLS(t))
	if err := s.handshake(conn); err != nil {
		s.deps.Observer.Rejected(metrics.RejectTLS)
		return nil, fmt.Errorf("tls with %s: %w", raw.RemoteAddr(), err)
	}
	// Verified, so there is a certificate.
	s.deps.Observer.PeerCertificateExpiry(t.peer, conn.ConnectionState().PeerCertificates[0].NotAfter)
	return conn, nil
}

// run serves a dialled connection.
func (s *Stack) run(f *Flow) error {
	if !s.attach(f) {
		return errShutdown
	}
	// Ends when the connection is closed by either side. A peer that we chose may stay silent.
	if !s.spawn(func() { s.readStream(f, 0) }) {
		f.stream.close(errShutdown)
		s.detach(f)
		return errShutdown
	}
	s.deps.Log.Debug("connected", zap.Stringer("transport", f.transport), zap.Stringer("remote", f.remote))
	return nil
}
