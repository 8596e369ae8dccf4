package stack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Serve begins to read the sockets and to accept connections: after New with Config.Waits, or after Halt.
func (s *Stack) Serve() {
	for _, l := range s.listeners {
		l.until(time.Time{})
		s.read(func() { s.accept(l) }) // ends when Close closes the listener, or by Halt
	}
	for _, u := range s.sockets {
		_ = u.conn.SetReadDeadline(time.Time{})
		s.read(func() { s.serveUDP(u) }) // ends when Close closes the socket, or by Halt
	}
}

func (s *Stack) read(f func()) {
	s.reading.Add(1)
	if !s.spawn(func() { defer s.reading.Done(); f() }) {
		s.reading.Done()
	}
}

// Halt stops reading the sockets and accepting: what comes waits in the system. It returns when the last message
// that was read is dispatched. Connections go on.
func (s *Stack) Halt() {
	for _, l := range s.listeners {
		l.until(time.Unix(1, 0))
	}
	for _, u := range s.sockets {
		_ = u.conn.SetReadDeadline(time.Unix(1, 0))
	}
	s.reading.Wait()
}

// Sockets tells give of each bound socket; the descriptor is lent until it returns. An error of give ends it.
func (s *Stack) Sockets(give func(t Transport, at netip.AddrPort, descriptor int) error) error {
	for _, l := range s.listeners {
		if err := lend(l.Listener, func(fd int) error { return give(l.transport, l.at, fd) }); err != nil {
			return err
		}
	}
	for _, u := range s.sockets {
		if err := lend(u.conn, func(fd int) error { return give(UDP, u.local, fd) }); err != nil {
			return err
		}
	}
	return nil
}

// until bounds how long Accept waits.
func (l listener) until(t time.Time) {
	if tcp, ok := l.Listener.(*net.TCPListener); ok {
		_ = tcp.SetDeadline(t)
	}
}

func lend(socket any, give func(fd int) error) (err error) {
	raw, err := socket.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = give(int(fd)) })
	return errors.Join(err, failed)
}

func (s *Stack) listenTCP(l Listen) (*net.TCPListener, error) {
	file := s.inherited(l.Transport, l.Addr)
	if file == nil {
		return net.ListenTCP("tcp", net.TCPAddrFromAddrPort(l.Addr))
	}
	defer file.Close()
	ln, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("inherited: %w", err)
	}
	if tcp, ok := ln.(*net.TCPListener); ok {
		return tcp, nil
	}
	return nil, errors.Join(errNotInherited, ln.Close())
}

func (s *Stack) listenUDP(at netip.AddrPort) (*net.UDPConn, error) {
	file := s.inherited(UDP, at)
	if file == nil {
		return net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	}
	defer file.Close()
	conn, err := net.FilePacketConn(file)
	if err != nil {
		return nil, fmt.Errorf("inherited: %w", err)
	}
	if udp, ok := conn.(*net.UDPConn); ok {
		return udp, nil
	}
	return nil, errors.Join(errNotInherited, conn.Close())
}

var errNotInherited = errors.New("what was inherited is another kind of socket")

// inherited is the socket that the process before has bound; nil for none.
func (s *Stack) inherited(t Transport, at netip.AddrPort) *os.File {
	if s.deps.Inherited == nil {
		return nil
	}
	if fd := s.deps.Inherited(t, at); fd >= 0 {
		return os.NewFile(uintptr(fd), t.String())
	}
	return nil
}
