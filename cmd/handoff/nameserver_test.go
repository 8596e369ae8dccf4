package main

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsBody is the data of a record.
type dnsBody = dnsmessage.ResourceBody

// nameServer is a DNS server on loopback, asked over UDP by the standard library's resolver.
type nameServer struct {
	conn *net.UDPConn

	mu       sync.Mutex
	zone     map[string][]dnsBody // by name, with the last dot
	dead     bool                 // no question is answered
	slow     time.Duration        // before each answer
	answered int
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, zone: map[string][]dnsBody{}}
	t.Cleanup(func() { conn.Close() })
	go s.serve() // ends with conn
	return s
}

// resolver asks this server and no other.
func (s *nameServer) resolver() *net.Resolver { return resolverAt(s.conn.LocalAddr().String()) }

func resolverAt(server string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server)
	}}
}

func (s *nameServer) set(change func(*nameServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *nameServer) answers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered
}

func address(at netip.Addr) dnsBody {
	if at.Is6() {
		return &dnsmessage.AAAAResource{AAAA: at.As16()}
	}
	return &dnsmessage.AResource{A: at.As4()}
}

func service(priority uint16, target string, port uint16) dnsBody {
	return &dnsmessage.SRVResource{Priority: priority, Weight: 10, Port: port, Target: dnsmessage.MustNewName(target)}
}

func (s *nameServer) serve() {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		var asked dnsmessage.Message
		if asked.Unpack(buf[:n]) != nil || len(asked.Questions) != 1 {
			continue
		}
		s.mu.Lock()
		dead, slow := s.dead, s.slow
		answer, err := s.answerLocked(asked)
		s.mu.Unlock()
		if dead || err != nil {
			continue
		}
		time.AfterFunc(slow, func() {
			if _, err := s.conn.WriteToUDPAddrPort(answer, from); err == nil {
				s.set(func(s *nameServer) { s.answered++ })
			}
		})
	}
}

func (s *nameServer) answerLocked(asked dnsmessage.Message) ([]byte, error) {
	q := asked.Questions[0]
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: asked.ID, Response: true, RecursionAvailable: true}, Questions: asked.Questions}
	records, known := s.zone[strings.ToLower(q.Name.String())]
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, body := range records {
		kind := dnsmessage.TypeA
		switch body.(type) {
		case *dnsmessage.AAAAResource:
			kind = dnsmessage.TypeAAAA
		case *dnsmessage.SRVResource:
			kind = dnsmessage.TypeSRV
		}
		if kind == q.Type {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: kind, Class: q.Class, TTL: 1}, Body: body})
		}
	}
	return m.Pack()
}
