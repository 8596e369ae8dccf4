//go:build !linux

package portable

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"handoff/media/lane"
)

// readers belong to the pairs: a goroutine for each socket.
type readers struct{}

// Close is after that of all pairs.
func (*Path) Close() {}

type sockets struct {
	conns   [2]*net.UDPConn // by side
	readers sync.WaitGroup
}

func (p *Pair) open(_ *Path, ip netip.Addr, port uint16) error {
	for s := lane.Media; s <= lane.Control; s++ {
		conn, err := listen(ip, port+uint16(s))
		if err != nil {
			p.Close()
			return fmt.Errorf("bind %s: %w", s, err)
		}
		p.sockets.conns[s] = conn
	}
	p.start()
	return nil
}

// Drop does nothing: no socket comes here from elsewhere.
func Drop([]int) int { return 0 }

func (*Pair) adopt(*Path, [2]int) error { return errors.ErrUnsupported }

// Descriptors are none here: they can't be handed to another process.
func (*Pair) Descriptors() []int { return nil }

func (p *Pair) send(s lane.Side, b []byte, to netip.AddrPort) error {
	_, err := p.sockets.conns[s].WriteToUDPAddrPort(b, to)
	return err
}

// Freeze stops reading. What arrives waits in the sockets until Thaw; nothing is lost unless their
// buffers (some seconds of audio) overflow.
func (p *Pair) Freeze() {
	p.deadline(time.Unix(1, 0))
	p.sockets.readers.Wait()
}

// Thaw reads on.
func (p *Pair) Thaw() {
	p.deadline(time.Time{})
	p.start()
}

// Close closes the sockets and waits for the readers.
func (p *Pair) Close() {
	for _, conn := range p.sockets.conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
	p.sockets.readers.Wait()
}

func (p *Pair) deadline(t time.Time) {
	for _, conn := range p.sockets.conns {
		_ = conn.SetReadDeadline(t)
	}
}

func (p *Pair) start() {
	// Both end when Freeze or Close makes their read fail; both wait for them.
	p.sockets.readers.Go(func() { p.read(lane.Media) })
	p.sockets.readers.Go(func() { p.read(lane.Control) })
}

func (p *Pair) read(s lane.Side) {
	buf := lane.NewBuffer()
	for {
		n, from, err := p.sockets.conns[s].ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
			p.handle(s, buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return
		default:
			// An ICMP error of an earlier write, on some systems. The pause keeps a socket that is
			// broken for good from eating a core.
			p.ReadFailed()
			time.Sleep(time.Millisecond)
		}
	}
}

// listen binds to one family only: on a dual-stack socket every source would come as IPv4 inside
// IPv6, and an edge that announces an IPv4 address has no use for it.
func listen(ip netip.Addr, port uint16) (*net.UDPConn, error) {
	network := "udp4"
	if ip.Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, port)))
	if err != nil {
		return nil, err
	}
	if err := setTTL(conn, ip.Is6()); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("set ttl: %w", err)
	}
	return conn, nil
}
