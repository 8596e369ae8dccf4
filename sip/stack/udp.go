package stack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
)

// udpBuffer is what the kernel is asked to hold while a handler runs.
const udpBuffer = 4 << 20

// udpSocket is one bound UDP address.
type udpSocket struct {
	conn   *net.UDPConn
	raw    syscall.RawConn // of conn
	local  netip.AddrPort
	closed atomic.Bool
	reader reader
	recent [32]atomic.Pointer[Flow] // flows used last, by place
}

// place spreads remote addresses over recent.
func (u *udpSocket) place(remote netip.AddrPort) *atomic.Pointer[Flow] {
	ip := remote.Addr().As16()
	return &u.recent[(int(ip[15])+int(remote.Port()))%len(u.recent)]
}

func (u *udpSocket) write(raw []byte, to netip.AddrPort) error {
	if err := u.sendTo(raw, to); err != nil {
		return fmt.Errorf("%w: %w", ErrTransport, err)
	}
	return nil
}

func (u *udpSocket) close() {
	u.closed.Store(true)
	u.conn.Close()
}

// udpFlow is the flow between a socket and a remote address. Those used last are used again, which saves their memory
// for each message; nobody relies on it.
func (s *Stack) udpFlow(u *udpSocket, remote netip.AddrPort, peer metrics.Peer) *Flow {
	place := u.place(remote)
	if f := place.Load(); f != nil && f.remote == remote && f.peer == peer {
		return f
	}
	f := &Flow{stack: s, transport: UDP, local: u.local, remote: remote, peer: peer, udp: u}
	place.Store(f)
	return f
}

// serveUDP reads datagrams until the socket is closed or halted. Other errors are of the moment (ICMP, no
// buffers): they are waited out, because without this loop the edge is deaf.
func (s *Stack) serveUDP(u *udpSocket) {
	in := u.incoming(maxDatagramSize)
	var pause backoff
	for {
		raw, from, err := in.next()
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			s.deps.Log.Warn("udp read", zap.Stringer("local", u.local), zap.Error(err))
			pause.wait(s.ctx.Done())
			continue
		}
		pause = 0
		s.receiveDatagram(u, from, raw)
	}
}

// receiveDatagram asks who speaks before it looks at a byte.
func (s *Stack) receiveDatagram(u *udpSocket, from netip.AddrPort, raw []byte) {
	peer := s.deps.Admit(from, UDP)
	if peer == metrics.PeerUnknown {
		s.deps.Observer.Rejected(metrics.RejectSource)
		return
	}
	if frame, ok := frameDatagram(raw, s.cfg.MaxHeaderLines); ok {
		s.receive(s.udpFlow(u, from, peer), frame)
	}
}

// socketFor chooses the socket from which a request to remote leaves: the preferred one, else that
// of the address the kernel would route from, else the first of the family.
func (s *Stack) socketFor(remote netip.Addr, prefer *udpSocket) (*udpSocket, error) {
	if prefer != nil && sameFamily(prefer.local.Addr(), remote) {
		return prefer, nil
	}
	var room [4]*udpSocket
	family := room[:0]
	for _, u := range s.sockets {
		if sameFamily(u.local.Addr(), remote) {
			family = append(family, u)
		}
	}
	switch len(family) {
	case 0:
		return nil, fmt.Errorf("%w: no udp listener to reach %s from", ErrTransport, remote)
	case 1:
		return family[0], nil // the kernel need not be asked
	}
	source := routedFrom(remote)
	if i := slices.IndexFunc(family, func(u *udpSocket) bool { return u.local.Addr() == source }); i >= 0 {
		return family[i], nil
	}
	return family[0], nil
}

// routedFrom asks the kernel which local address leads to remote. Nothing is sent.
func routedFrom(remote netip.Addr) netip.Addr {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(remote, UDP.defaultPort())))
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	return addrPortOf(conn.LocalAddr()).Addr()
}

func sameFamily(a, b netip.Addr) bool { return a.Unmap().Is4() == b.Unmap().Is4() }

// addrPortOf returns a socket's address with IPv4 in its own form, the zero value for what has none.
func addrPortOf(a net.Addr) netip.AddrPort {
	ap, ok := a.(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.AddrPort().Addr().Unmap(), ap.AddrPort().Port())
}

// backoff is the pause after an error of a socket that must be kept: 5 ms doubling to 1 s.
type backoff time.Duration

func (b *backoff) wait(stop <-chan struct{}) {
	*b = min(max(2*(*b), backoff(5*time.Millisecond)), backoff(time.Second))
	select {
	case <-time.After(time.Duration(*b)):
	case <-stop:
	}
}
