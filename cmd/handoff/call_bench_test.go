package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"handoff/configs"
	"handoff/sip/stack"
	"handoff/sip/uri"
)

// BenchmarkCall is what one call costs the edge: INVITE to BYE on both legs, 13 messages over loopback UDP, media ports
// taken and returned, lines of the log encoded and dropped. Both peers are stubs in this process that allocate next
// to nothing, so that the allocations are the edge's.
func BenchmarkCall(b *testing.B) {
	callee := newBenchPeer(b)
	e := newBenchEdge(b, callee.addr())
	caller := newBenchPeer(b)
	go callee.answer() // ends when the benchmark closes its socket
	to := net.UDPAddrFromAddrPort(e.stack.Addr(stack.UDP))
	b.ReportAllocs()
	for n := range b.N {
		caller.call(to.AddrPort(), n)
	}
	for e.engine.Calls() > 0 {
		time.Sleep(time.Millisecond)
	}
}

func newBenchEdge(b *testing.B, callee netip.AddrPort) *edge {
	b.Helper()
	text := fmt.Sprintf(`
sip: {public: 127.0.0.1, listen: ["udp:127.0.0.1:0"]}
twilio: {sources: [127.0.0.1]}
watson: {targets: ["sips:127.0.0.1"], sources: [127.0.0.1], health: {options_every: 0s}}
media: {listen: 127.0.0.1, ports: %s, rest: 0s}
limits: {calls: 1000, invites_per_second: 10000, per_source: 10000}
ops: {listen: "127.0.0.1:0"}
journal: {kind: memory}
cdr: {kind: "off"}
`, rangeOfPorts())
	cfg, err := configs.Parse(filepath.Join(b.TempDir(), "edge.yaml"), []byte(text), os.LookupEnv)
	if err != nil {
		b.Fatal(err)
	}
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(nowhere{}), zap.InfoLevel)
	e, err := newEdge(cfg, edgeDeps{
		Log:   zap.New(core),
		Clear: []uri.URI{{Scheme: "sip", Host: callee.Addr().String(), Port: callee.Port()}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(e.closeSockets)
	return e
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// benchPeer is one side of a call, with buffers that it uses again and again.
type benchPeer struct {
	*testing.B
	conn    *net.UDPConn
	in, out []byte
}

func newBenchPeer(b *testing.B) *benchPeer {
	b.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &benchPeer{B: b, conn: conn, in: make([]byte, 65536)}
}

func (p *benchPeer) addr() netip.AddrPort { return p.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

const benchSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 12692 RTP/SAVP 0 101\r\n" +
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WbTBosdVUZqEb6Htqhn+m3z7wUh4RJVR8nE15GbN\r\n" +
	"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"

// call makes one call and hangs up.
func (p *benchPeer) call(to netip.AddrPort, n int) {
	p.request(to, "INVITE", 1, n, "", benchSDP)
	for !p.receive(" 200 ") {
	}
	tag := value(p.in, "\r\nTo: ")
	target := fmt.Sprintf(";tag=%s", tag[bytes.LastIndexByte(tag, '=')+1:])
	p.request(to, "ACK", 1, n, target, "")
	p.request(to, "BYE", 2, n, target, "")
	for !p.receive(" 200 ") {
	}
}

func (p *benchPeer) request(to netip.AddrPort, method string, cseq, n int, tag, body string) {
	p.out = fmt.Appendf(p.out[:0], "%[1]s sip:+18885557777@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK-%[1]s-%[4]d\r\n"+
		"Max-Forwards: 67\r\nFrom: \"+15005550001\" <sip:+15005550001@sip.twilio.com>;tag=%[4]d\r\nTo: <sip:+18885557777@%[2]s>%[5]s\r\n"+
		"Call-ID: %[4]d-%[3]s\r\nCSeq: %[6]d %[1]s\r\nContact: <sip:+15005550001@%[3]s>\r\nAllow: INVITE,ACK,CANCEL,OPTIONS,BYE\r\n"+
		"User-Agent: Twilio Gateway\r\nX-Twilio-CallSid: CA%032[4]d\r\nContent-Type: application/sdp\r\nContent-Length: %[7]d\r\n\r\n%[8]s",
		method, to, p.addr(), n, tag, cseq, len(body), body)
	if _, err := p.conn.WriteToUDPAddrPort(p.out, to); err != nil {
		p.Error(err)
	}
}

// receive takes one message and tells whether its first line holds what.
func (p *benchPeer) receive(what string) bool {
	p.in = p.in[:cap(p.in)]
	_ = p.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := p.conn.Read(p.in)
	if err != nil {
		p.Fatal(err)
	}
	p.in = p.in[:n]
	line, _, _ := bytes.Cut(p.in, []byte("\r\n"))
	return bytes.Contains(line, []byte(what))
}

// answer takes calls until the socket is closed.
func (p *benchPeer) answer() {
	for {
		n, from, err := p.conn.ReadFromUDPAddrPort(p.in)
		if err != nil {
			return
		}
		switch in := p.in[:n]; {
		case bytes.HasPrefix(in, []byte("INVITE ")):
			p.respond(from, in, "180 Ringing", "")
			p.respond(from, in, "200 OK", benchSDP)
		case bytes.HasPrefix(in, []byte("BYE ")):
			p.respond(from, in, "200 OK", "")
		}
	}
}

func (p *benchPeer) respond(to netip.AddrPort, req []byte, status, body string) {
	p.out = append(append(append(p.out[:0], "SIP/2.0 "...), status...), "\r\n"...)
	for _, name := range []string{"\r\nVia: ", "\r\nFrom: ", "\r\nTo: ", "\r\nCall-ID: ", "\r\nCSeq: "} {
		p.out = append(append(p.out, name[2:]...), value(req, name)...)
		if name == "\r\nTo: " && !bytes.Contains(value(req, name), []byte("tag=")) {
			p.out = append(p.out, ";tag=callee"...)
		}
		p.out = append(p.out, "\r\n"...)
	}
	p.out = fmt.Appendf(p.out, "Contact: <sip:watson@%s>\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", p.addr(), len(body), body)
	_, _ = p.conn.WriteToUDPAddrPort(p.out, to)
}

// value is the first value of a header, borrowed.
func value(message []byte, name string) []byte {
	_, rest, _ := bytes.Cut(message, []byte(name))
	line, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return line
}
