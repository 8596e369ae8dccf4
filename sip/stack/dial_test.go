package stack

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
)

// twoRecords is a name server by which w.example is at two ports of loopback, in this order.
func twoRecords(first, second net.Listener) *nameServer {
	record := func(host string, l net.Listener) *net.SRV {
		return &net.SRV{Target: host, Port: l.Addr().(*net.TCPAddr).AddrPort().Port()}
	}
	here := []netip.Addr{loopback.Addr()}
	return &nameServer{zone: zone{
		addrs: map[string][]netip.Addr{"a.example.": here, "b.example.": here},
		srv:   map[string][]*net.SRV{"_sips._tcp.w.example": {record("a.example.", first), record("b.example.", second)}},
	}}
}

// One record leads to a place that does not take part; the next one is not far.
func TestTheNextAddressIsTriedBesideASilentOne(t *testing.T) {
	ca := newAuthority(t)
	dead, err := net.Listen("tcp", loopback.String())
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	silent, held := server(t, nil)
	stranger, strangers := server(t, ca.config(t, "b.example"))
	go func() { // ends with the listener's last connection, which the edge makes
		p := <-strangers
		p.Conn.(*tls.Conn).Handshake()
	}()
	tests := []struct {
		name    string
		first   net.Listener
		atLeast time.Duration
		rejects int
	}{
		{"nobody listens", dead, 0, 0},
		{"it has a certificate for the record's name", stranger, 0, 1},
		{"it never shakes hands", silent, stagger, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ln, peers := server(t, ca.config(t, "w.example"))
			n := start(t, func(_ *Config, d *Deps) { d.Resolver = twoRecords(tt.first, ln) })
			hop := hopTo(t, "sips:w.example")
			hop.Roots = ca.pool
			got, sink := events()
			began := time.Now()
			n.Send(newRequest(t, sipmsg.OPTIONS, "sips:w.example"), hop, sink)
			p := take(t, peers, "connection")
			p.send(p.read().reply("200 OK"))
			wantCode(t, take(t, got, "response"), 200)
			if took := time.Since(began); took < tt.atLeast || took > tt.atLeast+2*time.Second {
				t.Errorf("after %v", took)
			}
			if rejects := n.seen.rejects(metrics.RejectTLS); rejects != tt.rejects {
				t.Errorf("%d refused handshakes counted", rejects)
			}
		})
	}
	p := take(t, held, "the silent one's connection")
	for { // the ClientHello, then the end
		if _, err := p.Read(make([]byte, 1024)); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Error("the connection that lost is still open")
			}
			break
		}
	}
}

func TestEachAddressHasItsOwnTimeout(t *testing.T) {
	silent, _ := server(t, nil)
	n := start(t, func(c *Config, d *Deps) {
		c.DialTimeout = 50 * time.Millisecond
		d.Resolver = twoRecords(silent, silent)
	})
	got, sink := events()
	n.Send(newRequest(t, sipmsg.OPTIONS, "sips:w.example"), hopTo(t, "sips:w.example"), sink)
	ev := take(t, got, "error")
	wantError(t, ev, ErrTransport, false)
	if text := ev.Err.Error(); strings.Count(text, "tls with "+silent.Addr().String()+": context deadline exceeded") != 1 {
		t.Error(text) // one address, whatever the number of records
	}
	if n.seen.rejects(metrics.RejectTLS) != 1 {
		t.Error("not counted")
	}
}

// A target for which SRV records were asked is another one than that with the port.
func TestTargetsDifferByWhatWasAsked(t *testing.T) {
	bare, err := hopTo(t, "sips:w.example").target()
	if err != nil {
		t.Fatal(err)
	}
	explicit, _ := hopTo(t, "sips:w.example:5061").target()
	if bare == explicit || !bare.service || explicit.service {
		t.Errorf("%+v, %+v", bare, explicit)
	}
	if literal, _ := hopTo(t, "sips:[2001:db8::1]").target(); literal.service {
		t.Error("SRV records of an address")
	}
}

// A Contact leads anywhere: who is called there answers, and asks for nothing.
func TestWhoIsCalledInClearSpeaksOnlyForWhomHisAddressDoes(t *testing.T) {
	ca := newAuthority(t)
	tests := []struct {
		name   string
		at     metrics.Peer // for whom the address speaks
		secure bool
		named  bool // by the configuration
		heard  bool
	}{
		{name: "for nobody", at: metrics.PeerUnknown},
		{name: "for another peer", at: metrics.PeerTwilio},
		{name: "for the one who is called", at: metrics.PeerWatson, heard: true},
		{name: "for nobody, and is that of a host that the configuration names", at: metrics.PeerUnknown, named: true, heard: true},
		{name: "for nobody, and has shown its certificate", at: metrics.PeerUnknown, secure: true, heard: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t, func(_ *Config, d *Deps) {
				d.Admit = func(netip.AddrPort, Transport) metrics.Peer { return tt.at }
			})
			var ln net.Listener
			var peers chan *wirePeer
			var hop Hop
			if tt.secure {
				ln, peers = server(t, ca.config(t, "w.example"))
				hop = hopTo(t, "sips:"+ln.Addr().String())
				hop.Names, hop.Roots = []string{"w.example"}, ca.pool
			} else {
				ln, peers = server(t, nil)
				hop = hopTo(t, "sip:"+ln.Addr().String()+";transport=tcp")
			}
			if tt.named {
				n.LookUp(hop)
			}
			got, sink := events()
			n.Send(newRequest(t, sipmsg.OPTIONS, hop.URI.String()), hop, sink)
			p := take(t, peers, "connection")
			asked := p.read()
			p.send(rawRequest("OPTIONS", "asks", 1) + asked.reply("200 OK"))
			wantCode(t, take(t, got, "response"), 200)
			if tt.heard {
				take(t, n.seen.requests, "request")
				return
			}
			eventually(t, "it is counted", func() bool { return n.seen.rejects(metrics.RejectSource) == 1 })
			none(t, n.seen.requests, "request")
		})
	}
}
