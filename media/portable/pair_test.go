package portable

import (
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/pion/rtp"
	"go.uber.org/goleak"

	"handoff/media/lane"
	"handoff/media/quality"
	"handoff/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = netip.MustParseAddr("127.0.0.1")

// newPath closes after the pairs that are opened later.
func newPath(t testing.TB) *Path {
	path := New(time.Now())
	t.Cleanup(path.Close)
	return path
}

// open binds a pair on whatever ports are free.
func open(t testing.TB) (*Pair, netip.AddrPort) { return openOn(t, newPath(t)) }

func openOn(t testing.TB, path *Path) (*Pair, netip.AddrPort) {
	t.Helper()
	for range 20 {
		probe := socket(t)
		port := addr(probe).Port() &^ 1
		_ = probe.Close()
		if p, err := path.Open(loopback, port, quality.Report{}); err == nil {
			t.Cleanup(p.Close)
			return p, netip.AddrPortFrom(loopback, port)
		}
	}
	t.Fatal("no pair of ports is free")
	return nil, netip.AddrPort{}
}

func socket(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func addr(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// bridge connects x to y one way: from is the peer of x, to the peer of y.
func bridge(x, y *Pair, from, to netip.AddrPort) {
	x.Forward(&lane.Flow{RTP: from, RTCP: from, Open: true, Out: &y.Lane, ToRTP: to, ToRTCP: to})
}

// The promise of the path: nothing is allocated for a packet, forwarded or refused.
func TestForwardingAllocatesNothing(t *testing.T) {
	x, _ := open(t)
	y, _ := open(t)
	from, to := addr(socket(t)), addr(socket(t))
	bridge(x, y, from, to)
	voice := audio(t, 1, 1)
	report := []byte{0x80, 201, 0, 1, 0, 0, 0, 1}
	foreign := netip.AddrPortFrom(loopback, 9)
	for name, packet := range map[string]func(){
		"rtp":     func() { x.handle(lane.Media, voice, from) },
		"rtcp":    func() { x.handle(lane.Media, report, from) },
		"foreign": func() { x.handle(lane.Media, voice, foreign) },
		"noise":   func() { x.handle(lane.Media, report[:3], from) },
	} {
		if n := testing.AllocsPerRun(100, packet); n != 0 {
			t.Errorf("%s: %.1f allocations a packet", name, n)
		}
	}
}

// The same over real sockets, reader included: what the test itself does allocates nothing either.
func TestForwardingOverSocketsAllocatesNothing(t *testing.T) {
	x, xAddr := open(t)
	y, _ := open(t)
	sender, receiver := socket(t), socket(t)
	bridge(x, y, addr(sender), addr(receiver))
	voice, buf := audio(t, 1, 1), make([]byte, lane.MaxPacket)
	if err := receiver.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(200, func() {
		if _, err := sender.WriteToUDPAddrPort(voice, xAddr); err != nil {
			t.Error(err)
		}
		if _, _, err := receiver.ReadFromUDPAddrPort(buf); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%.1f allocations a packet", n)
	}
}

// A peer whose port is closed costs its own packets and nothing else.
func TestSendErrorsAreCountedAndNotFatal(t *testing.T) {
	x, xAddr := open(t)
	y, _ := open(t)
	sender, receiver := socket(t), socket(t)
	unreachable := netip.MustParseAddrPort("[2001:db8::1]:9") // not of the socket's family
	bridge(x, y, addr(sender), unreachable)
	if _, err := sender.WriteToUDPAddrPort(audio(t, 1, 1), xAddr); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return y.Report().SendErrors == 1 })
	bridge(x, y, addr(sender), addr(receiver))
	if _, err := sender.WriteToUDPAddrPort(audio(t, 1, 2), xAddr); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return y.Report().Sent == 1 })
}

func TestOpenReleasesTheFirstPortWhenTheSecondIsTaken(t *testing.T) {
	x, at := open(t)
	x.Close()
	blocker, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, at.Port()+1)))
	if err != nil {
		t.Skip("another process took the port:", err)
	}
	defer func() { _ = blocker.Close() }()
	if p, err := newPath(t).Open(loopback, at.Port(), quality.Report{}); err == nil {
		p.Close()
		t.Fatal("opened on a taken port")
	}
	free, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
}

func TestOpenCountsOn(t *testing.T) {
	before := quality.Report{
		Counters: quality.Counters{
			Received: 1, ReceivedBytes: 2, Sent: 3, SentBytes: 4, RTCPReceived: 5, RTCPSent: 6, SendErrors: 7, ReadErrors: 8,
			Foreign: [quality.Foreigns]uint64{9, 10, 11, 12}, LastSeen: time.Now().Add(-time.Minute).Round(0),
		},
		Stream: quality.State{Started: true, SSRC: 1, Base: 65537, Highest: 65538, Received: 2, Clock: 8000},
	}
	_, at := open(t)
	p, err := newPath(t).Open(netip.MustParseAddr("127.0.0.2"), at.Port(), before)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	got := p.Report()
	if d := got.LastSeen.Sub(before.LastSeen).Abs(); d > time.Second {
		t.Errorf("last seen differs by %s", d)
	}
	got.LastSeen = before.LastSeen
	if got != before {
		t.Errorf("got %+v, want %+v", got, before)
	}
	if len(metrics.Foreigns()) != quality.Foreigns {
		t.Errorf("%d reasons, %d counters", len(metrics.Foreigns()), quality.Foreigns)
	}
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

// BenchmarkForward is one packet through one socket of the path: received by the kernel, read,
// checked, measured, written.
func BenchmarkForward(b *testing.B) {
	x, xAddr := open(b)
	y, _ := open(b)
	sender, receiver := socket(b), socket(b)
	bridge(x, y, addr(sender), addr(receiver))
	voice, buf := audio(b, 1, 1), make([]byte, lane.MaxPacket)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sender.WriteToUDPAddrPort(voice, xAddr); err != nil {
			b.Fatal(err)
		}
		if _, _, err := receiver.ReadFromUDPAddrPort(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkForwardMany is the same where many speak at a time, as calls do.
func BenchmarkForwardMany(b *testing.B) {
	const pairs = 64
	path := newPath(b)
	y, _ := openOn(b, path)
	sender, receiver := socket(b), socket(b)
	var at []netip.AddrPort
	for range pairs {
		x, a := openOn(b, path)
		bridge(x, y, addr(sender), addr(receiver))
		at = append(at, a)
	}
	voice, buf := audio(b, 1, 1), make([]byte, lane.MaxPacket)
	b.ReportAllocs()
	for b.Loop() {
		for _, a := range at {
			if _, err := sender.WriteToUDPAddrPort(voice, a); err != nil {
				b.Fatal(err)
			}
		}
		for range at {
			if _, _, err := receiver.ReadFromUDPAddrPort(buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(pairs*b.N), "ns/packet")
}

// BenchmarkOpen is what an endpoint costs that carries nothing.
func BenchmarkOpen(b *testing.B) {
	path := newPath(b)
	_, at := openOn(b, path)
	b.ReportAllocs()
	for b.Loop() {
		p, err := path.Open(netip.MustParseAddr("127.0.0.2"), at.Port(), quality.Report{})
		if err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}

// BenchmarkHold tells what a pair weighs that waits for packets.
func BenchmarkHold(b *testing.B) {
	for b.Loop() {
		heap, stacks := weigh(b, 1000)
		b.ReportMetric(heap, "heap-B/pair")
		b.ReportMetric(stacks, "stack-B/pair")
	}
}

// weigh opens so many pairs on one path and returns what each takes, in bytes.
func weigh(t testing.TB, pairs int) (heap, stacks float64) {
	t.Helper()
	path := New(time.Now())
	defer path.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	all := make([]*Pair, 0, pairs)
	for port := uint16(20000); len(all) < pairs && port < 60000; port += 2 {
		if p, err := path.Open(netip.MustParseAddr("127.0.0.3"), port, quality.Report{}); err == nil {
			all = append(all, p)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	for _, p := range all {
		p.Close()
	}
	if len(all) < pairs {
		t.Fatalf("only %d pairs of ports are free", len(all))
	}
	n := float64(pairs)
	return (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / n, (float64(after.StackInuse) - float64(before.StackInuse)) / n
}

// BenchmarkDecide is what the edge itself does for a packet, without the system: the packet is
// counted and measured and the bridge is on hold.
func BenchmarkDecide(b *testing.B) {
	x, _ := open(b)
	from := netip.AddrPortFrom(loopback, 9)
	x.Forward(&lane.Flow{RTP: from, RTCP: from})
	voice := audio(b, 1, 1)
	b.ReportAllocs()
	for b.Loop() {
		voice[3]++
		x.handle(lane.Media, voice, from)
	}
}

// audio is 20 ms of PCMU.
func audio(t testing.TB, ssrc uint32, sequence uint16) []byte {
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
