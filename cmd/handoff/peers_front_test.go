//go:build linux

package main

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
)

// front takes the TLS off what the edge sends to Watson and carries it to a program on the same
// address that speaks TCP only, and back. SIPp as Debian builds it has no TLS.
type front struct {
	listener net.Listener
	behind   string
	wait     sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

// newFront listens on the TLS port of ip; the program is expected on port 5060.
func (s *surroundings) newFront(ip string) {
	s.Helper()
	certificate, err := s.authority.Issue(watsonName)
	s.must(err)
	listener, err := tls.Listen("tcp", ip+":5061", &tls.Config{Certificates: []tls.Certificate{certificate}})
	s.must(err)
	f := &front{listener: listener, behind: ip + ":5060", open: map[net.Conn]struct{}{}}
	f.wait.Go(f.accept) // ends when close closes the listener
	s.Cleanup(f.close)
}

func (f *front) accept() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.wait.Go(func() { f.carry(conn) }) // ends with either connection
	}
}

func (f *front) carry(edge net.Conn) {
	defer edge.Close()
	program, err := net.DialTimeout("tcp", f.behind, patience)
	if err != nil {
		return // to the edge it looks like a Watson that closes the connection
	}
	defer program.Close()
	if !f.keep(edge, program) {
		return
	}
	defer f.forget(edge, program)
	f.wait.Go(func() { // ends when either connection is closed
		_, _ = io.Copy(program, edge)
		_ = program.Close()
	})
	_, _ = io.Copy(edge, program)
}

func (f *front) keep(conns ...net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range conns {
		f.open[c] = struct{}{}
	}
	return !f.closed
}

func (f *front) forget(conns ...net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range conns {
		delete(f.open, c)
	}
}

func (f *front) close() {
	_ = f.listener.Close()
	f.mu.Lock()
	f.closed = true
	for c := range f.open {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.wait.Wait()
}
