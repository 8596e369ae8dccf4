//go:build !linux

package load

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// Listen returns a wire on a UDP socket of an address; port 0 is any.
func Listen(at netip.AddrPort) (Wire, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(receiveBuffer) // as much as the system lets
	s := &socket{conn: conn, arrived: make(chan Arrived, 4096), ended: make(chan struct{})}
	go s.read()
	return s, nil
}

// socket reads in a goroutine, which notes the time. What comes while 4096 packets wait is lost.
type socket struct {
	conn    *net.UDPConn
	arrived chan Arrived
	ended   chan struct{}
}

// read ends when the socket is closed.
func (s *socket) read() {
	defer close(s.ended)
	for {
		b := make([]byte, room)
		n, from, err := s.conn.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of a packet sent before
		}
		select {
		case s.arrived <- Arrived{netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), b[:n], time.Now()}:
		default:
		}
	}
}

func (s *socket) Local() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func (s *socket) Send(packets []Packet) (sent int) {
	for _, p := range packets {
		if _, err := s.conn.WriteToUDPAddrPort(p.Data, p.To); err == nil {
			sent++
		}
	}
	return sent
}

func (s *socket) Receive(take func(Arrived)) error {
	for {
		select {
		case a := <-s.arrived:
			take(a)
		default:
			return nil
		}
	}
}

func (s *socket) Close() error {
	err := s.conn.Close()
	<-s.ended
	return err
}

func pause(d time.Duration) { time.Sleep(d) }
