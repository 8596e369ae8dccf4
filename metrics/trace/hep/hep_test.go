package hep

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"handoff/metrics"
	"handoff/metrics/spool"
	"handoff/metrics/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parsed is a packet as a collector reads it.
type parsed struct {
	family, protocol, kind  byte
	from, to                netip.AddrPort
	at                      time.Time
	agent                   uint32
	node, password, belongs string
	payload                 string
}

// parse reads by the specification and shares nothing with what writes.
func parse(b []byte) (parsed, error) {
	var p parsed
	var source, destination netip.Addr
	var sourcePort, destinationPort uint16
	var seconds, microseconds uint32
	if len(b) < 6 || string(b[:4]) != "HEP3" || int(b[4])<<8|int(b[5]) != len(b) {
		return p, fmt.Errorf("no HEP3 of %d bytes: %.20q", len(b), b)
	}
	for b = b[6:]; len(b) > 0; {
		if len(b) < 6 {
			return p, fmt.Errorf("%d bytes behind the last chunk", len(b))
		}
		vendor, kind, length := int(b[0])<<8|int(b[1]), uint16(b[2])<<8|uint16(b[3]), int(b[4])<<8|int(b[5])
		if vendor != 0 || length < 6 || length > len(b) {
			return p, fmt.Errorf("chunk %#x of vendor %d has %d bytes", kind, vendor, length)
		}
		v := b[6:length]
		b = b[length:]
		sizes := map[uint16]int{1: 1, 2: 1, 3: 4, 4: 4, 5: 16, 6: 16, 7: 2, 8: 2, 9: 4, 10: 4, 11: 1, 12: 4}
		if size, fixed := sizes[kind]; fixed && size != len(v) {
			return p, fmt.Errorf("chunk %#x has %d bytes", kind, len(v))
		}
		switch kind {
		case 1:
			p.family = v[0]
		case 2:
			p.protocol = v[0]
		case 3, 5:
			source, _ = netip.AddrFromSlice(v)
		case 4, 6:
			destination, _ = netip.AddrFromSlice(v)
		case 7:
			sourcePort = binary.BigEndian.Uint16(v)
		case 8:
			destinationPort = binary.BigEndian.Uint16(v)
		case 9:
			seconds = binary.BigEndian.Uint32(v)
		case 10:
			microseconds = binary.BigEndian.Uint32(v)
		case 11:
			p.kind = v[0]
		case 12:
			p.agent = binary.BigEndian.Uint32(v)
		case 14:
			p.password = string(v)
		case 15:
			p.payload = string(v)
		case 17:
			p.belongs = string(v)
		case 19:
			p.node = string(v)
		default:
			return p, fmt.Errorf("a chunk of type %#x", kind)
		}
	}
	p.from, p.to = netip.AddrPortFrom(source, sourcePort), netip.AddrPortFrom(destination, destinationPort)
	p.at = time.Unix(int64(seconds), int64(microseconds)*1000).UTC()
	return p, nil
}

// counter is an Observer.
type counter struct {
	mu sync.Mutex
	n  map[metrics.Export]int
}

func (c *counter) HEP(h metrics.Export) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[metrics.Export]int)
	}
	c.n[h]++
}

func (c *counter) of(h metrics.Export) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[h]
}

func masks(raw []byte) []byte { return bytes.ReplaceAll(raw, []byte("secret"), []byte("hash")) }

// collector hears packets over UDP.
func collector(t *testing.T) (at string, next func() parsed) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String(), func() parsed {
		t.Helper()
		buf := make([]byte, 1<<16)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parse(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
}

func start(t *testing.T, cfg Config) (*Sender, *counter) {
	t.Helper()
	var counted counter
	s := New(cfg, Deps{Log: zaptest.NewLogger(t), Observer: &counted, Mask: masks})
	t.Cleanup(func() { closed(s) })
	return s, &counted
}

// closed waits for a Sender no longer than an edge would.
func closed(s *Sender) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s.Close(ctx)
}

var noon = time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.UTC)

func invite(id string) []byte {
	return []byte("INVITE sip:b@example.com SIP/2.0\r\nCall-ID: " + id + "\r\nX-Key: secret\r\n\r\nv=0\r\n")
}

func TestAMessageBecomesAPacket(t *testing.T) {
	const plain = "INVITE sip:b@example.com SIP/2.0\r\nCall-ID: one@a\r\nX-Key: hash\r\n\r\nv=0\r\n"
	at, next := collector(t)
	s, counted := start(t, Config{Network: "udp", Server: at, ID: 2001, Node: "edge-1", Password: "open sesame"})
	tests := []struct {
		name string
		m    trace.Message
		want parsed
	}{
		{"in over TLS",
			trace.Message{Direction: metrics.In, Transport: "tls", Local: "192.0.2.1:5061", Remote: "203.0.113.9:40123"},
			parsed{family: 2, protocol: 6, from: netip.MustParseAddrPort("203.0.113.9:40123"), to: netip.MustParseAddrPort("192.0.2.1:5061")}},
		{"out over UDP",
			trace.Message{Direction: metrics.Out, Transport: "udp", Local: "192.0.2.1:5060", Remote: "203.0.113.9:5060"},
			parsed{family: 2, protocol: 17, from: netip.MustParseAddrPort("192.0.2.1:5060"), to: netip.MustParseAddrPort("203.0.113.9:5060")}},
		{"out over TCP and IPv6",
			trace.Message{Direction: metrics.Out, Transport: "tcp", Local: "[2001:db8::1]:5060", Remote: "[2001:db8::2]:5060"},
			parsed{family: 10, protocol: 6, from: netip.MustParseAddrPort("[2001:db8::1]:5060"), to: netip.MustParseAddrPort("[2001:db8::2]:5060")}},
		{"from an IPv4 address that is written as IPv6",
			trace.Message{Direction: metrics.In, Transport: "tcp", Local: "[::ffff:192.0.2.1]:5060", Remote: "[::ffff:203.0.113.9]:5060"},
			parsed{family: 2, protocol: 6, from: netip.MustParseAddrPort("203.0.113.9:5060"), to: netip.MustParseAddrPort("192.0.2.1:5060")}},
		{"from where nobody knows",
			trace.Message{Direction: metrics.In, Transport: "tcp", Local: "192.0.2.1:5060"},
			parsed{family: 2, protocol: 6, from: netip.MustParseAddrPort("0.0.0.0:0"), to: netip.MustParseAddrPort("192.0.2.1:5060")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.m.Time, tt.m.Raw = noon, invite("one@a")
			s.Message(tt.m)
			got := next()
			if got.family != tt.want.family || got.protocol != tt.want.protocol || got.from != tt.want.from || got.to != tt.want.to {
				t.Errorf("it goes from %v to %v by %d, %d", got.from, got.to, got.family, got.protocol)
			}
			if got.kind != 1 || got.agent != 2001 || got.node != "edge-1" || got.password != "open sesame" || got.belongs != "one@a" {
				t.Errorf("got %+v", got)
			}
			if !got.at.Equal(noon.Truncate(time.Microsecond)) || got.payload != plain {
				t.Errorf("at %v: %q", got.at, got.payload)
			}
		})
	}
	closed(s)
	if n := counted.of(metrics.ExportSent); n != len(tests) {
		t.Errorf("%d counted as sent", n)
	}
}

// The INVITE comes before anybody knows that it begins a call.
func TestAMessageBelongsToItsCall(t *testing.T) {
	at, next := collector(t)
	s, _ := start(t, Config{Network: "udp", Server: at})
	for _, leg := range []string{"one@a", "two@b"} {
		s.Message(trace.Message{Time: time.Now(), Raw: invite(leg)})
		s.Bind("call-1", metrics.LegA, leg)
	}
	s.Message(trace.Message{Time: time.Now(), Raw: []byte("BYE sip:b@example.com SIP/2.0\r\ni : two@b\r\n\r\n")})
	for range 3 {
		if got := next(); got.belongs != "call-1" || got.password != "" || got.node != "" {
			t.Errorf("got %+v", got)
		}
	}
	s.Message(trace.Message{Time: noon, Raw: []byte("\r\n\r\n")})
	if got := next(); got.belongs != "" {
		t.Errorf("a ping belongs to %q", got.belongs)
	}
}

func TestNamesAreBounded(t *testing.T) {
	c := newCalls()
	for i := range maxNames + 10 {
		c.Bind("call", metrics.LegB, fmt.Sprint(i))
	}
	c.Bind("another", metrics.LegB, fmt.Sprint(maxNames+9))
	if len(c.byID) != maxNames || len(c.order) != maxNames {
		t.Errorf("%d names, %d in order", len(c.byID), len(c.order))
	}
	if got := c.correlation("9"); got != "9" {
		t.Errorf("the oldest is %q still", got)
	}
	if got := c.correlation(fmt.Sprint(maxNames + 9)); got != "another" {
		t.Errorf("the newest is %q", got)
	}
}

func TestAReportBecomesJSON(t *testing.T) {
	at, next := collector(t)
	s, _ := start(t, Config{Network: "udp", Server: at, ID: 7})
	s.Reported(Report{
		Time: noon, CallID: "one@a", Local: netip.MustParseAddrPort("192.0.2.1:10001"), Remote: netip.MustParseAddrPort("203.0.113.9:20001"),
		Reporter: 1, Packets: 500, Bytes: 86000, Source: 2, Lost: -3, Fraction: 25, Jitter: 10 * time.Millisecond, RoundTrip: 20 * time.Millisecond,
	})
	got := next()
	if got.kind != 5 || got.protocol != 17 || got.belongs != "one@a" || got.from.String() != "203.0.113.9:20001" || got.to.String() != "192.0.2.1:10001" {
		t.Errorf("got %+v", got)
	}
	var said struct {
		Type, SSRC, Report_count int
		Sender_information       struct{ Packets, Octets int }
		Report_blocks            []struct {
			Source_ssrc, Fraction_lost, Packets_lost, IA_jitter int
			RTT                                                 float64
		}
	}
	if err := json.Unmarshal([]byte(got.payload), &said); err != nil {
		t.Fatal(err)
	}
	if want := "{200 1 1 {500 86000} [{2 25 -3 80 0.02}]}"; fmt.Sprint(said) != want {
		t.Errorf("got %v from %s, want %s", said, got.payload, want)
	}
}

func TestWhatIsLongerThanADatagramIsCut(t *testing.T) {
	at, next := collector(t)
	s, _ := start(t, Config{Network: "udp", Server: at})
	raw := append(invite(strings.Repeat("i", 3000)), bytes.Repeat([]byte("x"), 65535)...)
	s.Message(trace.Message{Time: noon, Raw: raw})
	got := next()
	if len(got.payload) < 64000 || !strings.HasPrefix(string(raw), "INVITE") || len(got.belongs) != 1024 {
		t.Errorf("%d bytes, correlation id of %d", len(got.payload), len(got.belongs))
	}
}

// A flood of the longest messages beside a collector that hangs takes no more memory than was meant, and room comes back.
func TestWhatWaitsIsBoundedInBytes(t *testing.T) {
	const size, flood = 60_000, 2000
	raw := append(invite("one@a"), bytes.Repeat([]byte("x"), size)...)
	at, next := collector(t)
	s, counted := start(t, Config{Network: "udp", Server: at})
	ahead := time.Now().Add(settleTime) // each waits until it is settled: about as slow as a collector gets
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range flood {
		s.Message(trace.Message{Time: ahead.Add(time.Hour), Raw: raw})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > roomBytes+(8<<20) {
		t.Errorf("%d MB wait", grown>>20)
	}
	if n := counted.of(metrics.ExportDropped); n < flood/2 { // some leave meanwhile
		t.Errorf("%d of %d were dropped", n, flood)
	}
	if got := next(); got.belongs != "one@a" {
		t.Errorf("got %+v", got)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) { // one has left, and the next is about to
		dropped := counted.of(metrics.ExportDropped)
		s.Message(trace.Message{Time: noon, Raw: raw})
		if counted.of(metrics.ExportDropped) == dropped {
			break
		}
		if time.Now().After(end) {
			t.Fatal("room does not come back")
		}
	}
}

// A collector that breaks off is dialled again, and hears whole packets only.
func TestAConnectionThatBreaksIsMadeAnew(t *testing.T) {
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s, counted := start(t, Config{Network: "tcp", Server: listener.Addr().String()})
	for range 2 {
		var conn *net.TCPConn
		for deadline := time.Now().Add(10 * time.Second); conn == nil && time.Now().Before(deadline); {
			s.Message(trace.Message{Time: noon, Raw: invite("one@a")}) // that it is gone is found out by writing
			_ = listener.SetDeadline(time.Now().Add(20 * time.Millisecond))
			conn, _ = listener.AcceptTCP()
		}
		if conn == nil {
			t.Fatal("it is not dialled")
		}
		head := make([]byte, 6)
		if _, err := io.ReadFull(conn, head); err != nil {
			t.Fatal(err)
		}
		rest := make([]byte, int(head[4])<<8|int(head[5])-6)
		if _, err := io.ReadFull(conn, rest); err != nil {
			t.Fatal(err)
		}
		if p, err := parse(append(head, rest...)); err != nil || p.belongs != "one@a" {
			t.Errorf("%+v, %v", p, err)
		}
		_ = conn.SetLinger(0) // the Sender hears of it at once
		conn.Close()
	}
	if counted.of(metrics.ExportFailed) == 0 {
		t.Error("what was lost is not counted")
	}
}

// A collector that leaves politely is heard leaving: what comes behind that goes to the next connection, and counts as sent only once.
func TestNothingIsWrittenBehindACollectorThatHasLeft(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	broken := make(chan bool)
	s := &Sender{cfg: Config{Network: "tcp", Server: listener.Addr().String()}}
	s.deps = Deps{Log: zaptest.NewLogger(t), Observer: &counter{}, Mask: masks}
	s.calls, s.packets = newCalls(), spool.New[any](room)
	for range 2 {
		s.dialled = time.Time{} // a second is over
		if err := s.connect(); err != nil {
			t.Fatal(err)
		}
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		first := s.conn
		s.send([]byte("HEP3"))
		if s.conn != first {
			t.Error("it does not stay connected")
		}
		go func() { <-first.gone; broken <- first.broken() }() // ends with the connection
		conn.Close()
		if !<-broken {
			t.Error("nobody has noticed")
		}
	}
	s.send([]byte("HEP3"))
	if n := s.deps.Observer.(*counter); n.of(metrics.ExportSent) != 2 || n.of(metrics.ExportFailed) != 1 {
		t.Errorf("counted %v", n.n)
	}
	s.hangUp()
}

// Whatever a collector does not do, the end does not wait for it longer than was meant.
func TestACollectorThatHangsHoldsUpNoEnd(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	certificate := server.TLS.Certificates[0]
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	server.Close()
	for _, tt := range []struct {
		name, network string
		greets        bool // it shakes hands in TLS
	}{
		{"accepts and says nothing", "tls", false},
		{"shakes hands and does not read", "tls", true},
		{"does not read", "tcp", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			connected := make(chan net.Conn, 1)
			go func() { // ends when somebody has connected
				conn, err := listener.Accept()
				if err == nil && tt.greets {
					_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}}).Handshake()
				}
				connected <- conn
			}()
			var counted counter
			s := New(Config{Network: tt.network, Server: listener.Addr().String(), Roots: roots}, Deps{Log: zaptest.NewLogger(t), Observer: &counted, Mask: masks})
			raw := append(invite("one@a"), bytes.Repeat([]byte("x"), 60_000)...)
			const all = 200 // more than the system's buffers take
			for range all {
				s.Message(trace.Message{Time: noon, Raw: raw})
			}
			conn := <-connected
			defer conn.Close()
			begun := time.Now()
			closed(s)
			if took := time.Since(begun); took > 4*time.Second {
				t.Errorf("it took %v", took)
			}
			if n := counted.of(metrics.ExportSent) + counted.of(metrics.ExportFailed) + counted.of(metrics.ExportDropped); n != all || counted.of(metrics.ExportSent) == all {
				t.Errorf("counted %v", counted.n)
			}
		})
	}
}

func TestACollectorThatIsNotThereIsCounted(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	listener.Close()
	for _, network := range []string{"tcp", "tls"} {
		var counted counter
		core, logged := observer.New(zap.DebugLevel)
		s := New(Config{Network: network, Server: nobody, Password: "open sesame"}, Deps{Log: zap.New(core), Observer: &counted, Mask: masks})
		for range 3 {
			s.Message(trace.Message{Time: noon, Raw: invite("one@a")})
		}
		closed(s)
		if lines := fmt.Sprint(logged.All()); logged.Len() != 1 || strings.Contains(lines, "sesame") || !strings.Contains(lines, nobody) {
			t.Errorf("%s: the log says %s", network, lines)
		}
		if n := counted.of(metrics.ExportFailed); n != 3 {
			t.Errorf("%s: %d failed", network, n)
		}
	}
}

// A collector that does not keep up costs packets, never time.
func TestWhatFindsNoRoomIsDropped(t *testing.T) {
	var counted counter
	begun, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s := New(Config{Network: "udp", Server: "127.0.0.1:9"}, Deps{Log: zaptest.NewLogger(t), Observer: &counted, Mask: func(raw []byte) []byte {
		once.Do(func() { close(begun) })
		<-goOn
		return raw
	}})
	s.Message(trace.Message{Time: noon, Raw: invite("one@a")})
	<-begun
	for range room + 5 {
		s.Message(trace.Message{Time: noon, Raw: invite("one@a")})
	}
	if n := counted.of(metrics.ExportDropped); n != 5 {
		t.Errorf("%d dropped", n)
	}
	close(goOn)
	closed(s)
	s.Message(trace.Message{Time: noon, Raw: invite("one@a")})
	closed(s)
	if n := counted.of(metrics.ExportDropped); n != 6 {
		t.Errorf("%d dropped, one of them behind the end", n)
	}
	if all := counted.of(metrics.ExportDropped) + counted.of(metrics.ExportSent) + counted.of(metrics.ExportFailed); all != room+7 {
		t.Errorf("%d of %d counted", all, room+7)
	}
}

func BenchmarkMessage(b *testing.B) {
	s := New(Config{Network: "udp", Server: "127.0.0.1:9"}, Deps{Log: zaptest.NewLogger(b), Observer: &counter{}, Mask: masks})
	defer closed(s)
	m := trace.Message{Time: noon, Raw: append(invite("one@a"), bytes.Repeat([]byte("x"), 1500)...)}
	b.ReportAllocs()
	for b.Loop() {
		s.Message(m)
	}
}
