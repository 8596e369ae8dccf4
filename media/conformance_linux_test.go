package media

import (
	"bytes"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"handoff/media/namespace"
	"handoff/metrics"
)

// TestConformance holds every path to the same: what it carries packets by is no business of a call's.
func TestConformance(t *testing.T) {
	triesAllPaths(t)
	for _, path := range []string{pathPortable, pathUserspace, pathKernel} {
		for _, p := range places {
			for _, c := range conformance {
				t.Run(path+"/"+p.name+"/"+c.name, func(t *testing.T) {
					available(t, path)
					c.test(t, p.rig(t, path))
				})
			}
		}
	}
}

// own is an address of this process's: the userspace path silences its range for the whole machine.
func own(n byte) string {
	return netip.AddrFrom4([4]byte{127, 20 + n, byte(os.Getpid() >> 8), byte(os.Getpid())}).String()
}

// place is where the edge and its peers are.
type place struct{ name, edge, phones string }

var places = []place{
	{"loopback by ipv4", own(1), own(2)},
	{"loopback by ipv6", "::1", "::1"},
	{"cable by ipv4", namespace.Edge4, namespace.Peers4},
	{"cable by ipv6", namespace.Edge6, namespace.Peers6},
	{"cable, listening everywhere by ipv4", "0.0.0.0", namespace.Peers4},
	{"cable, listening everywhere by ipv6", "::", namespace.Peers6},
}

func (p place) rig(t *testing.T, path string) rig {
	var there func(func())
	first := uint16(10000 + os.Getpid()%200*100) // at ::1 there is but one address
	cfg := Config{Listen: netip.MustParseAddr(p.edge), Ports: Ports{first, first + 99}, Path: path}
	if strings.HasPrefix(p.name, "cable") {
		there = namespace.New(t).InPeers
	}
	if cfg.Listen.IsUnspecified() {
		cfg.Public = netip.MustParseAddr(map[bool]string{true: namespace.Edge4, false: namespace.Edge6}[cfg.Listen.Is4()])
	}
	r := newRigOf(t, cfg)
	r.phones, r.there = p.phones, there
	return r
}

// report is a receiver report of nothing.
var report = []byte{0x80, 201, 0, 1, 0, 0, 0, 1}

var conformance = []struct {
	name string
	test func(t *testing.T, r rig)
}{
	{"both ways, from the port that the peer knows", func(t *testing.T, r rig) {
		c := newCall(t, r)
		for n := range uint64(30) {
			for _, way := range []struct {
				from, to *phone
				in, out  *Endpoint
			}{{c.pa, c.pb, c.a, c.b}, {c.pb, c.pa, c.b, c.a}} {
				sent := way.from.say(way.in)
				if got, source := way.to.rtp.receive(); !bytes.Equal(got, sent) || source != way.out.Local().RTP {
					t.Fatalf("got % x from %s", got, source)
				}
				if n == 0 {
					way.from.rtcp.send(report, way.in.Local().RTCP)
					if got, source := way.to.rtcp.receive(); !bytes.Equal(got, report) || source != way.out.Local().RTCP {
						t.Fatalf("got rtcp % x from %s", got, source)
					}
				}
			}
		}
		c.Freeze() // so that all is counted
		for _, s := range c.Stats() {
			if s.Received != 30 || s.Sent != 30 || s.ReceivedBytes != 30*172 || s.SentBytes != 30*172 || s.RTCPReceived != 1 || s.RTCPSent != 1 ||
				s.SendErrors != 0 || s.ReadErrors != 0 || s.Stream.Lost() != 0 || s.Stream.Reordered != 0 || time.Since(s.LastSeen).Abs() > time.Minute {
				t.Errorf("leg %s: %+v", s.Leg, s)
			}
		}
	}},
	{"every length, with the right checksum", func(t *testing.T, r rig) {
		c := newCall(t, r)
		for size := 12; size < 80; size++ {
			b := packet(t, 0xa, uint16(size))[:size]
			for i := 12; i < size; i++ {
				b[i] = 0xff
			}
			c.pa.rtp.send(b, c.a.Local().RTP)
			if got, _ := c.pb.rtp.receive(); !bytes.Equal(got, b) {
				t.Fatalf("%d bytes: got % x", size, got)
			}
		}
	}},
	{"ttl 64", func(t *testing.T, r rig) {
		c := newCall(t, r)
		four, six := ipv4.NewPacketConn(c.pb.rtp.conn), ipv6.NewPacketConn(c.pb.rtp.conn)
		if err := four.SetControlMessage(ipv4.FlagTTL, true); r.cfg.Listen.Is4() && err != nil {
			t.Fatal(err)
		}
		if err := six.SetControlMessage(ipv6.FlagHopLimit, true); r.cfg.Listen.Is6() && err != nil {
			t.Fatal(err)
		}
		b, ttl := make([]byte, 2048), 0
		for range 3 { // of which the first may take another way than those after it
			c.pa.say(c.a)
			_ = c.pb.rtp.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			if r.cfg.Listen.Is4() {
				_, cm, _, err := four.ReadFrom(b)
				if err != nil {
					t.Fatal(err)
				}
				ttl = cm.TTL
			} else {
				_, cm, _, err := six.ReadFrom(b)
				if err != nil {
					t.Fatal(err)
				}
				ttl = cm.HopLimit
			}
			if ttl != 64 {
				t.Errorf("ttl %d", ttl)
			}
		}
	}},
	{"rtcp on the port of rtp", func(t *testing.T, r rig) {
		c := newCall(t, r)
		muxed := c.pa.remote()
		muxed.RTCP = muxed.RTP
		set(t, c.a, muxed)
		c.pa.rtp.send(report, c.a.Local().RTP)
		if _, from := c.pb.rtcp.receive(); from != c.b.Local().RTCP {
			t.Errorf("to the side that does not mux it came from %s", from)
		}
		c.pb.rtcp.send(report, c.b.Local().RTCP)
		if _, from := c.pa.rtp.receive(); from != c.a.Local().RTP {
			t.Errorf("to the side that muxes it came from %s", from)
		}
	}},
	{"only the announced source", func(t *testing.T, r rig) {
		c := newCall(t, r)
		foreign := r.phone(t, 0xf)
		for n := range uint16(5) {
			foreign.rtp.send(packet(t, 0xa, n), c.a.Local().RTP)
			foreign.rtcp.send(report, c.a.Local().RTCP)
		}
		dropped(t, c.a, metrics.ForeignSource, 10)
		c.pa.rtp.send([]byte("\x00\x01STUN, shall we say"), c.a.Local().RTP)
		dropped(t, c.a, metrics.ForeignMalformed, 1)
		want := c.pa.say(c.a)
		if got, _ := c.pb.rtp.receive(); !bytes.Equal(got, want) {
			t.Errorf("a packet from elsewhere came first: % x", got)
		}
	}},
	{"hold and resume", func(t *testing.T, r rig) {
		c := newCall(t, r)
		held := c.pb.remote()
		held.Receive = false
		set(t, c.b, held)
		c.pa.say(c.a)
		dropped(t, c.a, metrics.ForeignInactive, 1)
		music := c.pb.say(c.b)
		if got, _ := c.pa.rtp.receive(); !bytes.Equal(got, music) {
			t.Error("what the holding side plays was lost")
		}
		set(t, c.b, c.pb.remote())
		want := c.pa.say(c.a)
		if got, _ := c.pb.rtp.receive(); !bytes.Equal(got, want) {
			t.Errorf("after the resume came % x", got)
		}
	}},
	{"what comes during a freeze comes after the thaw, in its order", func(t *testing.T, r rig) {
		c := newCall(t, r)
		c.pa.say(c.a)
		c.pb.rtp.receive()
		c.Freeze()
		for range 50 {
			c.pa.say(c.a)
		}
		time.Sleep(20 * time.Millisecond) // for the path to take them, if it does so before the thaw
		if got := c.Stats()[0].Received; got != 1 {
			t.Errorf("a frozen endpoint received %d", got-1)
		}
		c.Thaw()
		c.pa.say(c.a)
		for n := range uint16(51) {
			b, _ := c.pb.rtp.receive()
			if got := unmarshal(t, b).SequenceNumber; got != n+2 {
				t.Fatalf("packet %d came where %d was due", got, n+2)
			}
		}
	}},
	{"srtp, passed and terminated", func(t *testing.T, r rig) {
		for _, m := range []mode{passed, terminated, srtpPlain} {
			c := newTalk(t, r, m)
			for range 10 {
				c.pa.say(c.a)
				if p := c.pb.hear(); !from(p, c.pa) || c.pb.refused > 0 {
					t.Fatalf("%s: heard %s, refused %d", m, p, c.pb.refused)
				}
				c.pb.say(c.b)
				if p := c.pa.hear(); !from(p, c.pb) {
					t.Fatalf("%s: heard %s", m, p)
				}
			}
			c.Close()
		}
	}},
	{"nothing after the close", func(t *testing.T, r rig) {
		c := newCall(t, r)
		c.pa.say(c.a)
		c.pb.rtp.receive()
		at := c.a.Local().RTP
		c.Close()
		before := c.Stats()
		for n := range uint16(5) {
			_, _ = c.pa.rtp.conn.WriteToUDPAddrPort(packet(t, 0xa, n), at)
		}
		c.pb.rtp.silent()
		if after := c.Stats(); after[0] != before[0] || after[1] != before[1] {
			t.Errorf("from %+v to %+v", before, after)
		}
	}},
}

func TestCallsThatCameAndWentLeaveNothing(t *testing.T) {
	triesAllPaths(t)
	for _, path := range []string{pathPortable, pathUserspace, pathKernel} {
		t.Run(path, func(t *testing.T) {
			available(t, path)
			r := places[0].rig(t, path)
			pa, pb := r.phone(t, 0xa), r.phone(t, 0xb)
			round := func() {
				s := r.NewSession("call")
				defer s.Close()
				a, b := endpoint(t, s, metrics.LegA), endpoint(t, s, metrics.LegB)
				set(t, a, pa.remote())
				set(t, b, pb.remote())
				s.Bridge(a, b)
				want := pa.say(a)
				if got, _ := pb.rtp.receive(); !bytes.Equal(got, want) {
					t.Fatalf("got % x", got)
				}
			}
			round()
			before, free := descriptors(t), r.ports.Free()
			for range 2000 {
				round()
			}
			if after := descriptors(t); after > before {
				t.Errorf("%d descriptors became %d", before, after)
			}
			if r.ports.Free() != free || r.watch.all() != 0 {
				t.Errorf("%d of %d pairs are free, %d sessions left", r.ports.Free(), free, r.watch.all())
			}
		})
	}
}

// triesAllPaths skips what need not be run on each path once more.
func triesAllPaths(t *testing.T) {
	if os.Getenv(pathVariable) != "" {
		t.Skip("the suite runs it by itself")
	}
}

// silent waits a little for what must not come.
func (w *wire) silent() {
	w.t.Helper()
	_ = w.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, from, err := w.conn.ReadFromUDPAddrPort(make([]byte, 2048)); err == nil {
		w.t.Errorf("%d bytes came from %s", n, from)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
