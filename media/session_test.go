package media

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"go.uber.org/zap/zapcore"

	"handoff/media/port"
	"handoff/metrics"
)

func TestForwardsBothWays(t *testing.T) {
	c := newCall(t, newRig(t, 2))
	for _, way := range []struct {
		name     string
		from, to *phone
		in, out  *Endpoint
	}{{"a to b", c.pa, c.pb, c.a, c.b}, {"b to a", c.pb, c.pa, c.b, c.a}} {
		t.Run(way.name, func(t *testing.T) {
			sent := way.from.say(way.in)
			got, source := way.to.rtp.receive()
			if !bytes.Equal(got, sent) || source != way.out.Local().RTP {
				t.Errorf("got % x from %s", got, source)
			}
			report := []byte{0x80, 201, 0, 1, 0, 0, 0, 1}
			way.from.rtcp.send(report, way.in.Local().RTCP)
			if got, source = way.to.rtcp.receive(); !bytes.Equal(got, report) || source != way.out.Local().RTCP {
				t.Errorf("got rtcp % x from %s", got, source)
			}
		})
	}
	// A packet is counted as sent after it was: let those on their way be counted.
	c.Freeze()
	for _, s := range c.Stats() {
		if s.Received != 1 || s.Sent != 1 || s.ReceivedBytes != 172 || s.SentBytes != 172 || s.RTCPReceived != 1 || s.LastSeen.IsZero() {
			t.Errorf("leg %s: %+v", s.Leg, s)
		}
	}
}

func TestRTCPOnTheRTPPort(t *testing.T) {
	c := newCall(t, newRig(t, 2))
	muxed := c.pa.remote()
	muxed.RTCP = muxed.RTP
	set(t, c.a, muxed)
	report := []byte{0x80, 201, 0, 1, 0, 0, 0, 1}
	c.pa.rtp.send(report, c.a.Local().RTP)
	if _, from := c.pb.rtcp.receive(); from != c.b.Local().RTCP {
		t.Errorf("to the side that does not mux it came from %s", from)
	}
	c.pb.rtcp.send(report, c.b.Local().RTCP)
	if _, from := c.pa.rtp.receive(); from != c.a.Local().RTP {
		t.Errorf("to the side that muxes it came from %s", from)
	}
	c.pb.rtp.send(report, c.b.Local().RTP)
	dropped(t, c.b, metrics.ForeignMalformed, 1)
}

func TestOnlyTheAnnouncedSourceGetsThrough(t *testing.T) {
	c := newCall(t, newRig(t, 2))
	otherPort := listen(t, "127.0.0.1:0")
	otherIP := listen(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), c.pa.rtp.addr().Port()).String())
	good := packet(t, 0xa, 7)
	otherPort.send(good, c.a.Local().RTP)
	otherIP.send(good, c.a.Local().RTP)
	c.pb.rtp.send(good, c.a.Local().RTP)  // the peer of the other leg
	c.pa.rtcp.send(good, c.a.Local().RTP) // the right peer's other port
	otherPort.send([]byte{0x80, 201, 0, 1, 0, 0, 0, 1}, c.a.Local().RTCP)
	dropped(t, c.a, metrics.ForeignSource, 5)
	c.pa.rtp.send([]byte("\x00\x01STUN, shall we say"), c.a.Local().RTP)
	c.pa.rtp.send(good, c.a.Local().RTCP) // audio on the control port
	dropped(t, c.a, metrics.ForeignMalformed, 2)
	want := c.pa.say(c.a)
	if got, _ := c.pb.rtp.receive(); !bytes.Equal(got, want) {
		t.Errorf("a packet from elsewhere came first: % x", got)
	}
	c.Freeze() // so that all is counted
	if s := c.Stats(); s[0].Received != 1 || s[1].Sent != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAPeerOnAnotherPortIsWarnedOfOnce(t *testing.T) {
	r := newRig(t, 2)
	c := newCall(t, r)
	other := listen(t, "127.0.0.1:0")
	for n := range uint16(3) {
		other.send(packet(t, 1, n), c.a.Local().RTP)
		other.send(packet(t, 1, n), c.b.Local().RTP)
	}
	dropped(t, c.a, metrics.ForeignSource, 3)
	dropped(t, c.b, metrics.ForeignSource, 3)
	lines := r.logs.FilterLevelExact(zapcore.WarnLevel).All()
	settings := map[any]int{}
	for _, l := range lines {
		settings[l.ContextMap()["admitted_by"]]++
	}
	if len(lines) != 2 || settings["twilio.media_learn: window"] != 1 || settings["watson.media_learn: window"] != 1 {
		t.Errorf("logged %v", lines)
	}
}

func TestNothingPassesBeforeSet(t *testing.T) {
	r := newRig(t, 2)
	s := r.NewSession("call-1")
	a, b := endpoint(t, s, metrics.LegA), endpoint(t, s, metrics.LegB)
	s.Bridge(a, b)
	pa, pb := newPhone(t, "127.0.0.1", 1), newPhone(t, "127.0.0.1", 2)
	pa.say(a)
	dropped(t, a, metrics.ForeignInactive, 1)
	set(t, a, pa.remote())
	pa.say(a) // received, but there is nobody yet
	dropped(t, a, metrics.ForeignInactive, 2)
	pb.say(b)
	dropped(t, b, metrics.ForeignInactive, 1)
	set(t, b, pb.remote())
	want := pa.say(a)
	if got, _ := pb.rtp.receive(); !bytes.Equal(got, want) {
		t.Errorf("an early packet came: % x", got)
	}
}

func TestHoldGatesEachDirection(t *testing.T) {
	c := newCall(t, newRig(t, 2))
	held := c.pb.remote()
	held.Send, held.Receive = true, false // B said sendonly
	set(t, c.b, held)
	c.pa.say(c.a)
	dropped(t, c.a, metrics.ForeignInactive, 1)
	music := c.pb.say(c.b)
	if got, _ := c.pa.rtp.receive(); !bytes.Equal(got, music) {
		t.Error("what the holding side plays was lost")
	}
	c.pa.rtcp.send([]byte{0x80, 201, 0, 1, 0, 0, 0, 1}, c.a.Local().RTCP)
	c.pb.rtcp.receive() // RTCP goes on

	held.Send = false // inactive
	set(t, c.b, held)
	c.pb.say(c.b)
	dropped(t, c.b, metrics.ForeignInactive, 1)

	set(t, c.b, c.pb.remote())
	want := c.pa.say(c.a)
	if got, _ := c.pb.rtp.receive(); !bytes.Equal(got, want) {
		t.Errorf("after the resume came % x", got)
	}
	if s := c.Stats()[0]; s.Received != 2 || s.Stream.Lost() != 0 {
		t.Errorf("a hold is no loss: %+v", s)
	}
}

func TestBridgeToAThirdEndpoint(t *testing.T) {
	c := newCall(t, newRig(t, 3))
	third := endpoint(t, c.Session, metrics.LegC)
	pc := newPhone(t, "127.0.0.1", 0xc)
	set(t, third, pc.remote())
	c.Bridge(c.a, third)
	want := c.pa.say(c.a)
	if got, from := pc.rtp.receive(); !bytes.Equal(got, want) || from != third.Local().RTP {
		t.Errorf("got % x from %s", got, from)
	}
	pc.say(third)
	c.pa.rtp.receive()
	c.pb.say(c.b) // left alone
	dropped(t, c.b, metrics.ForeignInactive, 1)

	c.Unbridge(third)
	c.pa.say(c.a)
	dropped(t, c.a, metrics.ForeignInactive, 1)

	other := newRig(t, 1).NewSession("call-2")
	stranger := endpoint(t, other, metrics.LegA)
	c.Bridge(c.a, stranger)
	c.Bridge(c.a, c.a)
	if c.a.peer != nil || stranger.peer != nil {
		t.Error("bridged to a stranger or to itself")
	}
}

func TestCloseFreesThePorts(t *testing.T) {
	r := newRig(t, 2)
	c := newCall(t, r)
	c.pa.say(c.a)
	c.pb.rtp.receive()
	if r.watch.all() != 1 || r.watch.free != 0 {
		t.Errorf("%+v", r.watch)
	}
	c.Close()
	c.Close()
	if r.watch.all() != 0 || r.watch.free != 2 {
		t.Errorf("%+v", r.watch)
	}
	for _, e := range c.Endpoints() {
		for _, at := range []netip.AddrPort{e.Local().RTP, e.Local().RTCP} {
			conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
			if err != nil {
				t.Errorf("still bound: %v", err)
				continue
			}
			_ = conn.Close()
		}
	}
	if s := c.Stats(); s[0].Received != 1 || s[1].Sent != 1 {
		t.Errorf("the last word on the call: %+v", s)
	}
	if _, err := c.Endpoint(metrics.LegC); !errors.Is(err, ErrClosed) {
		t.Errorf("endpoint: %v", err)
	}
	if err := c.a.Set(c.pa.remote()); !errors.Is(err, ErrClosed) {
		t.Errorf("set: %v", err)
	}
	c.Freeze()
	c.Thaw()
	c.Unbridge(c.a)
}

func TestExhaustionAndItsEnd(t *testing.T) {
	r := newRig(t, 1)
	s := r.NewSession("call-1")
	first := endpoint(t, s, metrics.LegA)
	if _, err := s.Endpoint(metrics.LegB); !errors.Is(err, port.ErrExhausted) {
		t.Fatalf("got %v", err)
	}
	s.Close()
	again := endpoint(t, r.NewSession("call-2"), metrics.LegA)
	if again.Local() != first.Local() || r.watch.shortened != 1 {
		t.Errorf("%+v, rest shortened %d times", again.Local(), r.watch.shortened)
	}
}

func TestPortsThatNeedNoRest(t *testing.T) {
	r := newRig(t, 1)
	cfg := r.cfg
	cfg.Rest = 0
	hasty, err := New(cfg, Deps{Observer: r.watch})
	if err != nil {
		t.Fatal(err)
	}
	defer hasty.Close()
	for range 2 {
		s := hasty.NewSession("call")
		endpoint(t, s, metrics.LegA)
		s.Close()
	}
	if r.watch.shortened != 0 {
		t.Errorf("a rest of nothing was shortened %d times", r.watch.shortened)
	}
}

func TestAPortHeldByAnotherProcessIsPassedOver(t *testing.T) {
	r := newRig(t, 2)
	taken := listen(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), r.cfg.Ports.Min+1).String())
	e := endpoint(t, r.NewSession("call-1"), metrics.LegA)
	if e.Local().RTCP == taken.addr() || e.Local().RTP.Port() != r.cfg.Ports.Min+2 {
		t.Errorf("got %s", e.Local().RTP)
	}
	if r.watch.free != 1 {
		t.Errorf("%d pairs free", r.watch.free)
	}
}

func TestSetRefusesAnotherFamily(t *testing.T) {
	e := endpoint(t, newRig(t, 1).NewSession("call-1"), metrics.LegA)
	if err := e.Set(Remote{RTP: netip.MustParseAddrPort("[2001:db8::1]:4000")}); !errors.Is(err, ErrFamily) {
		t.Errorf("got %v", err)
	}
}

func TestRelayCloseEndsItsSessions(t *testing.T) {
	r := newRig(t, 2)
	newCall(t, r)
	r.Close()
	if r.watch.all() != 0 || r.watch.free != 2 {
		t.Errorf("%+v", r.watch)
	}
	if _, err := r.NewSession("call-2").Endpoint(metrics.LegA); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// Ports that others on this machine hold are no fault of the caller's.
func TestPortsThatCantBeBoundCountAsExhausted(t *testing.T) {
	r := newRig(t, bindAttempts+1)
	for p := r.cfg.Ports.Min; p <= r.cfg.Ports.Max; p += 2 {
		held, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(p)})
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
	}
	s := r.NewSession("call")
	defer s.Close()
	if _, err := s.Endpoint(metrics.LegA); !errors.Is(err, port.ErrExhausted) {
		t.Errorf("got %v", err)
	}
	if r.ports.Free() != bindAttempts+1 {
		t.Errorf("%d pairs are free", r.ports.Free())
	}
}

// An established call is to weigh no more than 16 KB, and its media have but a part of that.
func TestACallsMediaWeighLittle(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere each socket has a goroutine and a buffer")
	}
	// Stacks are counted in spans of 32 KB, of which other goroutines may take a few meanwhile.
	if heap, stacks := weigh(t, 300); heap > 5000 || stacks > 1000 {
		t.Errorf("%.0f bytes of heap and %.0f of stacks a session", heap, stacks)
	}
}
