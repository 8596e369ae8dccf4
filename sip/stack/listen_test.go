package stack

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"handoff/metrics"
)

// table1 is a resolver of fixed names.
type table1 map[string][]netip.Addr

func (r table1) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addrs, ok := r[host]; ok {
		return addrs, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (r table1) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	return "", nil, &net.DNSError{Err: "no such host", Name: question{service, proto, name}.String(), IsNotFound: true}
}

func strangers(_ *Config, d *Deps) {
	d.Admit = func(netip.AddrPort, Transport) metrics.Peer { return metrics.PeerUnknown }
}

func TestUnadmittedSourceIsNotHeard(t *testing.T) {
	n := start(t, strangers, UDP, TCP, TLS)
	for _, tr := range []Transport{TCP, TLS} {
		p := dialPeer(t, n.Addr(tr))
		p.wantClosed() // TLS: without a handshake
	}
	p := newUDPPeer(t)
	p.sendTo(n.Addr(UDP), udpRequest(p, "OPTIONS", "x"))
	eventually(t, "three refusals", func() bool { return n.seen.rejects(metrics.RejectSource) == 3 })
	p.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := p.Read(make([]byte, 10)); err == nil {
		t.Error("UDP stranger was answered")
	}
	none(t, n.seen.requests, "request of a stranger")
}

func TestConnectionsAreBounded(t *testing.T) {
	n := start(t, func(c *Config, _ *Deps) { c.MaxConnectionsPerSource = 1 }, TCP)
	first := dialPeer(t, n.Addr(TCP))
	first.send(rawRequest("OPTIONS", "one", 1))
	take(t, n.seen.requests, "OPTIONS")
	dialPeer(t, n.Addr(TCP)).wantClosed()
	if n.seen.rejects(metrics.RejectConnections) != 1 {
		t.Error("not counted")
	}
	first.Close()
	eventually(t, "room again", func() bool {
		conn, err := net.Dial("tcp", n.Addr(TCP).String())
		if err != nil {
			return false
		}
		defer conn.Close()
		fmt.Fprint(conn, rawRequest("OPTIONS", newTag(), 1))
		conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err = conn.Read(make([]byte, 1))
		return os.IsTimeout(err)
	})
}

func TestTLSListener(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.files(t, "edge.example.com")
	n := start(t, func(c *Config, _ *Deps) { c.Certificate, c.Key = cert, key }, TLS)
	client := &tls.Config{RootCAs: a.pool, ServerName: "edge.example.com"}
	conn, err := tls.Dial("tcp", n.Addr(TLS).String(), client)
	if err != nil {
		t.Fatal(err)
	}
	p := peerOn(t, conn)
	p.send(rawRequest("OPTIONS", "tls", 1))
	tx := take(t, n.seen.requests, "OPTIONS")
	if tx.Flow().Transport() != TLS || tx.Peer() != metrics.PeerTwilio {
		t.Error(tx.Flow().Transport(), tx.Peer())
	}
	tx.Respond(tx.Response(200, "OK"))
	p.read()
	conn.Close()
	eventually(t, "gauge back at 0", func() bool {
		n.seen.mu.Lock()
		defer n.seen.mu.Unlock()
		return n.seen.connections == 0
	})
	plain := dialPeer(t, n.Addr(TLS))
	plain.send(rawRequest("OPTIONS", "plain", 1))
	eventually(t, "failed handshake counted", func() bool { return n.seen.rejects(metrics.RejectTLS) == 1 })
}

func TestWildcardMakesASocketForEachAddress(t *testing.T) {
	n := start(t, func(c *Config, _ *Deps) {
		c.Listen = []Listen{{UDP, netip.MustParseAddrPort("0.0.0.0:0")}}
	})
	p := newUDPPeer(t)
	to := netip.AddrPortFrom(loopback.Addr(), n.Addr(UDP).Port())
	p.sendTo(to, udpRequest(p, "OPTIONS", "wild"))
	tx := take(t, n.seen.requests, "OPTIONS")
	tx.Respond(tx.Response(200, "OK"))
	if _, from := p.receive(); from != to {
		t.Errorf("answered from %s, asked at %s", from, to)
	}
	for _, u := range n.sockets {
		if u.local.Addr().IsUnspecified() || u.local.Port() != to.Port() {
			t.Error(u.local)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Public: "edge.example.com", Listen: []Listen{{UDP, loopback}}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"no public":       func(c *Config) { c.Public = "" },
		"bad public":      func(c *Config) { c.Public = "a b" },
		"no address":      func(c *Config) { c.Listen = []Listen{{}} },
		"tls without key": func(c *Config) { c.Listen = []Listen{{TLS, loopback}} },
		"negative limit":  func(c *Config) { c.MaxTransactions = -1 },
	} {
		bad := good
		change(&bad)
		if _, err := New(bad, deps(t, newSeen())); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for _, public := range []string{"192.0.2.1", "2001:db8::1"} {
		if err := (Config{Public: public}).Validate(); err != nil {
			t.Error(public, err)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	n := start(t, nil, TCP)
	cfg := Config{Public: "127.0.0.1", Listen: []Listen{{UDP, loopback}, {TCP, n.Addr(TCP)}}}
	if _, err := New(cfg, deps(t, newSeen())); err == nil || !strings.Contains(err.Error(), "listen tcp:"+n.Addr(TCP).String()) {
		t.Error(err)
	}
}

func TestTransportsAreClosed(t *testing.T) {
	for _, tr := range []Transport{UDP, TCP, TLS} {
		if got, err := ParseTransport(strings.ToUpper(tr.String())); got != tr || err != nil {
			t.Error(tr, got, err)
		}
	}
	if _, err := ParseTransport("sctp"); err == nil || Transport(3).String() != "transport(3)" {
		t.Error("a fourth transport")
	}
}
