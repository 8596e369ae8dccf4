package media

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"handoff/media/sdp"
	"handoff/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watch is an Observer that counts.
type watch struct {
	free, shortened int
	sessions, fast  atomic.Int64 // outside and inside the kernel
	learnt          [3]atomic.Int64
}

func (w *watch) Sessions(path metrics.Path, delta int) {
	if path == metrics.PathKernel {
		w.fast.Add(int64(delta))
		return
	}
	w.sessions.Add(int64(delta))
}

// all is how many sessions there are.
func (w *watch) all() int64 { return w.sessions.Load() + w.fast.Load() }

func (w *watch) PortsFree(pairs int) { w.free = pairs }
func (w *watch) PortRestShortened()  { w.shortened++ }

func (w *watch) SourceLearnt(leg metrics.Leg) { w.learnt[leg].Add(1) }

// rig is a relay with what it tells, and where the phones are that call through it.
type rig struct {
	*Relay
	watch  *watch
	logs   *observer.ObservedLogs
	phones string
	there  func(func()) // runs something in their network, nil if that is the relay's
}

// phone makes a peer.
func (r rig) phone(t testing.TB, ssrc uint32) (p *phone) {
	t.Helper()
	if r.there == nil {
		return newPhone(t, r.phones, ssrc)
	}
	r.there(func() { p = newPhone(t, r.phones, ssrc) })
	return p
}

// newRig makes a relay of so many pairs, on ports that were free just before.
func newRig(t testing.TB, pairs int) rig {
	t.Helper()
	return newRigOn(t, testedPath(), pairs)
}

func newRigOn(t testing.TB, path string, pairs int) rig {
	t.Helper()
	first := freePorts(t, 2*pairs)
	return newRigOf(t, Config{
		Listen: netip.MustParseAddr("127.0.0.1"),
		Ports:  Ports{first, first + uint16(2*pairs) - 1},
		Rest:   30 * time.Second,
		Path:   path,
	})
}

func newRigOf(t testing.TB, cfg Config) rig {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	w := &watch{}
	r, err := New(cfg, Deps{Log: zap.New(core), Observer: w})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return rig{r, w, logs, "127.0.0.1", nil}
}

// freePorts finds n ports in a row, of those that no socket is given that asks for any.
func freePorts(t testing.TB, n int) uint16 {
	t.Helper()
search:
	for range 50 {
		first := uint16(10000+rand.IntN(10000-n)) &^ 1
		var held []*net.UDPConn
		defer func() {
			for _, c := range held {
				_ = c.Close()
			}
		}()
		for p := first; p < first+uint16(n); p++ {
			c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(p)})
			if err != nil {
				continue search
			}
			held = append(held, c)
		}
		return first
	}
	t.Fatal("no row of free ports")
	return 0
}

// phone is a peer: an RTP and an RTCP socket, and the sequence number it is at.
type phone struct {
	t         testing.TB
	rtp, rtcp *wire
	ssrc      uint32
	sequence  uint16
}

func newPhone(t testing.TB, ip string, ssrc uint32) *phone {
	at := netip.AddrPortFrom(netip.MustParseAddr(ip), 0).String()
	return &phone{t: t, rtp: listen(t, at), rtcp: listen(t, at), ssrc: ssrc}
}

// remote is what the phone's SDP says, and allows everything.
func (p *phone) remote() Remote {
	return Remote{RTP: p.rtp.addr(), RTCP: p.rtcp.addr(), Send: true, Receive: true, Clock: 8000}
}

// say sends the next packet of audio to an endpoint and returns it.
func (p *phone) say(to *Endpoint) []byte {
	p.sequence++
	b := packet(p.t, p.ssrc, p.sequence)
	p.rtp.send(b, to.Local().RTP)
	return b
}

func packet(t testing.TB, ssrc uint32, sequence uint16) []byte {
	t.Helper()
	p := rtp.Packet{
		Header:  rtp.Header{Version: 2, SequenceNumber: sequence, Timestamp: 160 * uint32(sequence), SSRC: ssrc},
		Payload: make([]byte, 160),
	}
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wire is a socket whose waits are bounded.
type wire struct {
	t    testing.TB
	conn *net.UDPConn
}

func listen(t testing.TB, address string) *wire {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &wire{t, c}
}

func (w *wire) addr() netip.AddrPort {
	at := w.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

func (w *wire) send(b []byte, to netip.AddrPort) {
	w.t.Helper()
	if _, err := w.conn.WriteToUDPAddrPort(b, to); err != nil {
		w.t.Fatal(err)
	}
}

// receive returns the next packet and where it came from.
func (w *wire) receive() ([]byte, netip.AddrPort) {
	w.t.Helper()
	_ = w.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 2048)
	n, from, err := w.conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		w.t.Fatal(err)
	}
	return buf[:n], from
}

// call is a session with legs A and B bridged and talking.
type call struct {
	*Session
	a, b   *Endpoint
	pa, pb *phone
}

func newCall(t *testing.T, r rig) call {
	t.Helper()
	s := r.NewSession("call-1")
	c := call{s, endpoint(t, s, metrics.LegA), endpoint(t, s, metrics.LegB), r.phone(t, 0xa), r.phone(t, 0xb)}
	set(t, c.a, c.pa.remote())
	set(t, c.b, c.pb.remote())
	s.Bridge(c.a, c.b)
	return c
}

func endpoint(t testing.TB, s *Session, leg metrics.Leg) *Endpoint {
	t.Helper()
	e, err := s.Endpoint(leg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func set(t testing.TB, e *Endpoint, r Remote) {
	t.Helper()
	if err := e.Set(r); err != nil {
		t.Fatal(err)
	}
}

// dropped waits until so many packets were not forwarded for the reason.
func dropped(t *testing.T, e *Endpoint, why metrics.Foreign, want uint64) {
	t.Helper()
	eventually(t, func() bool { return e.carrier.Report().Foreign[why] == want })
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("did not happen in 5 s")
		}
	}
}

func TestConfig(t *testing.T) {
	public := netip.MustParseAddr("203.0.113.10")
	tests := []struct {
		name string
		cfg  Config
		ok   bool
	}{
		{"a public address is enough", Config{Public: public}, true},
		{"a listen address is public unless told", Config{Listen: public}, true},
		{"the path by name", Config{Public: public, Path: "portable"}, true},
		{"nothing to announce", Config{}, false},
		{"two families", Config{Public: netip.MustParseAddr("2001:db8::1")}, false},
		{"each family by its own", Config{Public: public, PublicIPv6: netip.MustParseAddr("2001:db8::1")}, true},
		{"IPv6 twice", Config{Listen: netip.IPv6Unspecified(), Public: netip.MustParseAddr("2001:db8::1"), PublicIPv6: netip.MustParseAddr("2001:db8::2")}, false},
		{"IPv4 where IPv6 belongs", Config{Public: public, PublicIPv6: public}, false},
		{"a path that is not there", Config{Public: public, Path: "warp"}, false},
		{"ports upside down", Config{Public: public, Ports: Ports{20000, 10000}}, false},
		{"privileged ports", Config{Public: public, Ports: Ports{10, 20}}, false},
		{"no rest at all", Config{Public: public, Rest: 0}, true},
		{"no rest below zero", Config{Public: public, Rest: -1}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := New(tt.cfg, Deps{})
			if (err == nil) != tt.ok {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			defer r.Close()
			if tt.cfg.Path == "portable" && r.Path() != metrics.PathPortable {
				t.Errorf("path %s", r.Path())
			}
		})
	}
	var p Ports
	if err := p.UnmarshalText([]byte("10000-19999")); err != nil || p.String() != "10000-19999" {
		t.Errorf("%s, %v", p, err)
	}
	for _, bad := range []string{"", "10000", "10000-", "a-b", "1-70000"} {
		if err := p.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was read as %s", bad, p)
		}
	}
}

func TestWithoutABPFFSNothingOutlivesTheProcess(t *testing.T) {
	available(t, pathKernel)
	r := newRigOf(t, Config{Listen: netip.MustParseAddr("127.0.0.1"), Pins: t.TempDir()})
	if r.Path() != metrics.PathUserspace {
		t.Error(r.Path())
	}
	for _, said := range []string{"media sockets end with this process", "the kernel forwards media only while this process lives"} {
		if lines := r.logs.FilterMessage(said).All(); len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0].ContextMap()), "bpffs") {
			t.Errorf("%s: %v", said, lines)
		}
	}
}

func TestNegotiated(t *testing.T) {
	const head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 "
	const one, two = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB", "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC"
	parse := func(media string) sdp.Description {
		d, err := sdp.Parse([]byte(head + media + "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	crypto := func(key string) string { return "RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + key }

	r, err := Negotiated(parse("RTP/AVP 0\r\na=rtcp-mux\r\na=sendonly"), parse("RTP/AVP 0\r\na=rtcp-mux\r\na=recvonly"))
	if err != nil || !r.Send || r.Receive || r.RTCP != r.RTP || r.Clock != 8000 || r.Suite != sdp.NoSuite {
		t.Errorf("muxed hold: %+v, %v", r, err)
	}
	r, err = Negotiated(parse("RTP/AVP 0\r\na=rtcp-mux"), parse("RTP/AVP 0"))
	if err != nil || !r.Send || !r.Receive || r.RTCP.Port() != 4001 {
		t.Errorf("mux refused: %+v, %v", r, err)
	}
	r, err = Negotiated(parse(crypto(one)+"\r\na=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:"+two), parse(crypto(two)))
	if err != nil || r.Suite != sdp.SHA80 || r.RemoteKey.Reveal() != one || r.LocalKey.Reveal() != two {
		t.Errorf("srtp: %+v, %v", r, err)
	}
	if _, err = Negotiated(parse(crypto(one)), parse("RTP/AVP 0")); !errors.Is(err, sdp.ErrProfile) {
		t.Errorf("two profiles: %v", err)
	}
	if _, err = Negotiated(sdp.Description{}, parse("RTP/AVP 0")); !errors.Is(err, sdp.ErrNoAudio) {
		t.Errorf("nothing: %v", err)
	}
}
