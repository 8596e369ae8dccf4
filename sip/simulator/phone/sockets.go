package phone

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// maxPairs bounds how often a phone may move; maxTries, how long it looks for two ports that belong together.
const (
	maxPairs = 8
	maxTries = 100
)

// Move binds new ports for the next Offer. The old ones go on listening until Close: packets under way still count.
func (p *Phone) Move() error {
	return p.open()
}

func (p *Phone) open() error {
	s, err := bindPair(p.cfg.Addr)
	if err != nil {
		return err
	}
	if p.cfg.NAT {
		if s.outside, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.cfg.Addr, 0))); err != nil {
			s.outside = s.rtp
			s.close()
			return fmt.Errorf("bind behind a NAT: %w", err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.sockets) >= maxPairs {
		s.close()
		return fmt.Errorf("open ports: phone closed or moved more than %d times", maxPairs)
	}
	p.sockets = append(p.sockets, s)
	p.local.RTP = local(s.rtp)
	p.local.RTCP = local(s.rtcp)
	p.local.Version++
	p.wg.Go(func() { p.listen(s.rtp, p.hear) })        // ends when Close closes the socket
	p.wg.Go(func() { p.listen(s.rtcp, p.hearReport) }) // likewise
	if s.outside != s.rtp {
		p.wg.Go(func() { p.listen(s.outside, p.hear) }) // likewise
	}
	return nil
}

func bindPair(addr netip.Addr) (*pair, error) {
	var last error
	for range maxTries {
		rtp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		if err != nil {
			return nil, fmt.Errorf("bind RTP on %s: %w", addr, err)
		}
		port := local(rtp).Port()
		if port%2 == 1 {
			rtp.Close()
			last = errors.New("only odd ports")
			continue
		}
		rtcp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port+1)))
		if err == nil {
			return &pair{rtp, rtcp, rtp}, nil
		}
		rtp.Close()
		last = err
	}
	return nil, fmt.Errorf("bind a pair of ports on %s: %w", addr, last)
}

func local(c *net.UDPConn) netip.AddrPort {
	return unmapped(c.LocalAddr().(*net.UDPAddr).AddrPort())
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// listen hands each packet, with its source, to take until the socket closes. The bytes are borrowed.
func (p *Phone) listen(c *net.UDPConn, take func([]byte, netip.AddrPort)) {
	buf := make([]byte, 2048)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of something sent before
		}
		take(buf[:n], unmapped(from))
	}
}
