//go:build linux

package main

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"handoff/sip/stack"
)

// outside is an address that speaks for nobody.
var outside = netip.MustParseAddr("127.0.0.66")

// attackers are who plays an attack: the edge and its peers, one who may speak for Twilio and is not to be trusted, and two who speak
// for nobody.
type attackers struct {
	stageAddrs
	Hostile, Outside, Another netip.Addr
}

func standing() attackers {
	if *attackSix {
		return standingInIPv6()
	}
	return attackers{stageAddrs{Edge: loopback, Twilio: twilioAddr, Watson: watsonAddr}, netip.MustParseAddr("127.0.0.9"), outside, netip.MustParseAddr("127.0.0.68")}
}

func standingInIPv6() attackers {
	at := func(n byte) netip.Addr { return netip.AddrFrom16([16]byte{0: 0xfd, 15: n}) }
	return attackers{stageAddrs{Edge: at(1), Twilio: at(2), Watson: at(3)}, at(9), at(66), at(68)}
}

// all are their addresses.
func (a attackers) all() []netip.Addr {
	return []netip.Addr{a.Edge, a.Twilio, a.Watson, a.Hostile, a.Outside, a.Another}
}

// stranger is a UDP socket of somebody's that counts what comes to it.
type stranger struct {
	conn *net.UDPConn

	sent, sentBytes   atomic.Uint64
	heard, heardBytes atomic.Uint64 // datagrams
	refused           atomic.Uint64 // ICMP errors
}

// newStranger opens a socket at an address of this machine. It listens until the test ends.
func newStranger(t *testing.T, at netip.Addr) *stranger {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if controlErr := raw.Control(func(fd uintptr) { // ICMP errors show as errors of the socket
		if at.Is6() {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_RECVERR, 1)
			return
		}
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_RECVERR, 1)
	}); controlErr != nil || err != nil {
		t.Fatal(controlErr, err)
	}
	s := &stranger{conn: conn}
	done := make(chan struct{})
	go func() { // ends when the socket is closed
		defer close(done)
		s.listen()
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return s
}

func (s *stranger) listen() {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := s.conn.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.refused.Add(1)
		default:
			s.heard.Add(1)
			s.heardBytes.Add(uint64(n))
		}
	}
}

// say sends a datagram. What the socket was told by ICMP comes as an error of the next one, which is then sent again.
func (s *stranger) say(raw []byte, to netip.AddrPort) {
	s.sent.Add(1)
	s.sentBytes.Add(uint64(len(raw)))
	for range 3 {
		if _, err := s.conn.WriteToUDPAddrPort(raw, to); err == nil {
			return
		}
		s.refused.Add(1)
	}
}

// knock connects from an address, over TLS if the listener wants that, says something and that this was all, and returns how
// many bytes came until the edge closed the connection; shook tells whether a TLS handshake came to its end.
func knock(t *testing.T, from netip.Addr, to netip.AddrPort, transport stack.Transport, raw []byte) (heard int, shook bool) {
	t.Helper()
	dialer := net.Dialer{Timeout: 10 * time.Second, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	conn, err := dialer.Dial("tcp", to.String())
	if errors.Is(err, syscall.ECONNRESET) {
		return 0, false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	counted := &counting{Conn: conn}
	stream := net.Conn(counted)
	if transport == stack.TLS {
		secured := tls.Client(counted, &tls.Config{InsecureSkipVerify: true}) // an attacker verifies nobody
		shook = secured.Handshake() == nil
		stream = secured
	}
	_, _ = stream.Write(raw) // it may be closed already
	_ = conn.(*net.TCPConn).CloseWrite()
	_, err = io.Copy(io.Discard, stream)
	if timeout := (net.Error)(nil); errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the edge keeps a connection from %s", from)
	}
	return counted.heard, shook
}

// counting counts what it reads.
type counting struct {
	net.Conn
	heard int
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.heard += n
	return n, err
}
