package stack

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
)

// stagger is how long an address has for itself before the next one is tried beside it: RFC 8305 §5, with time for a TLS handshake
// across an ocean. A silent address costs a call this and not its patience.
const stagger = 500 * time.Millisecond

// connect makes a flow to a target. The connection stays for as long as both sides want it, even when the name servers no longer name
// its address: only the next dial follows them. The error tells what was wrong with each address.
func (s *Stack) connect(t target) (*Flow, error) {
	addrs, err := s.names.locate(t)
	if err != nil {
		return nil, fmt.Errorf("%w: look up %s: %w", ErrTransport, t.host, err)
	}
	f, err := s.connectTo(t, addrs)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrTransport, t, err)
	}
	return f, nil
}

func (s *Stack) connectTo(t target, addrs []netip.AddrPort) (*Flow, error) {
	if t.transport == UDP {
		return s.connectUDP(t, addrs)
	}
	won, err := s.race(t, addrs)
	if err != nil {
		return nil, err
	}
	if secured, ok := won.conn.(*tls.Conn); ok {
		// Verified, so there is a certificate.
		s.deps.Observer.PeerCertificateExpiry(t.peer, secured.ConnectionState().PeerCertificates[0].NotAfter)
	}
	f := &Flow{stack: s, transport: t.transport, local: addrPortOf(won.raw.LocalAddr()), remote: won.addr, peer: t.peer,
		target: t, mute: !s.vouched(t, won.addr), stream: newStream(won.conn, won.raw, s.cfg.PingEvery)}
	return f, s.run(f)
}

// vouched tells whether a connection to a target speaks for the target's peer. Over TLS it has proved to. In clear it does where
// the address is one of the peer's, or of a host that the configuration names: a Contact leads anywhere.
func (s *Stack) vouched(t target, at netip.AddrPort) bool {
	return t.transport == TLS || s.deps.Admit(at, t.transport) == t.peer || s.Found(t.peer, at.Addr())
}

// connectUDP takes the first address that a socket of ours can reach.
func (s *Stack) connectUDP(t target, addrs []netip.AddrPort) (*Flow, error) {
	var failed error
	for _, addr := range addrs {
		u, err := s.socketFor(addr.Addr(), t.socket)
		if err == nil {
			return s.udpFlow(u, addr, t.peer), nil
		}
		failed = also(failed, err)
	}
	return nil, failed
}

// attempt is the connection to one address, or why there is none.
type attempt struct {
	addr netip.AddrPort
	raw  net.Conn
	conn net.Conn // raw, or what is above it
	err  error
}

// race tries the addresses in their order, the next one as soon as one has failed or was silent for stagger, and returns the first
// connection that stands: with TLS, one whose peer was verified. The others are closed.
func (s *Stack) race(t target, addrs []netip.AddrPort) (attempt, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan attempt)
	running := 0
	defer func() {
		cancel()
		for range running {
			if late := <-done; late.err == nil {
				late.conn.Close()
			}
		}
	}()
	var failed error
	next := time.NewTimer(0)
	defer next.Stop()
	for len(addrs) > 0 || running > 0 {
		select {
		case <-next.C:
			if len(addrs) > 0 {
				go func(addr netip.AddrPort) { done <- s.attempt(ctx, t, addr) }(addrs[0]) // ends within DialTimeout or with ctx; race waits
				addrs = addrs[1:]
				running++
				next.Reset(stagger)
			}
		case a := <-done:
			running--
			if a.err == nil {
				return a, nil
			}
			failed = also(failed, a.err)
			next.Reset(0)
		}
	}
	return attempt{}, failed
}

// attempt connects to one address.
func (s *Stack) attempt(ctx context.Context, t target, addr netip.AddrPort) attempt {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DialTimeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return attempt{err: err}
	}
	keepAlive(raw)
	if t.transport != TLS {
		return attempt{addr: addr, raw: raw, conn: raw}
	}
	secured := tls.Client(raw, s.clientTLS(t))
	if err := secured.HandshakeContext(ctx); err != nil {
		raw.Close()
		if !errors.Is(ctx.Err(), context.Canceled) { // not because another address was faster
			s.deps.Observer.Rejected(metrics.RejectTLS)
		}
		return attempt{err: fmt.Errorf("tls with %s: %w", addr, err)}
	}
	return attempt{addr: addr, raw: raw, conn: secured}
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
