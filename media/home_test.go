package media

import (
	"errors"
	"net/netip"
	"testing"

	"handoff/metrics"
)

// newHomes makes a relay of so many pairs that peers of both families reach.
func newHomes(t *testing.T, cfg Config, pairs int) *Relay {
	t.Helper()
	first := freePorts(t, 2*pairs)
	cfg.Ports = Ports{first, first + uint16(2*pairs) - 1}
	r, err := New(cfg, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// toward makes the endpoint of a phone.
func toward(t *testing.T, s *Session, leg metrics.Leg, p *phone) *Endpoint {
	t.Helper()
	e, err := s.EndpointToward(leg, p.rtp.addr().Addr())
	if err != nil {
		t.Fatal(err)
	}
	set(t, e, p.remote())
	return e
}

// A caller with IPv6 talks to an assistant with IPv4, also behind a restart.
func TestEachLegHasItsFamily(t *testing.T) {
	r := newHomes(t, Config{Public: netip.MustParseAddr("127.0.0.1"), PublicIPv6: netip.IPv6Loopback()}, 2)
	s := r.NewSession("call-1")
	pa, pb := newPhone(t, "::1", 0xa), newPhone(t, "127.0.0.1", 0xb)
	a, b := toward(t, s, metrics.LegA, pa), toward(t, s, metrics.LegB, pb)
	s.Bridge(a, b)
	talk := func() {
		t.Helper()
		pa.say(a)
		if _, from := pb.rtp.receive(); from != b.Local().RTP {
			t.Errorf("B hears %s", from)
		}
		pb.say(b)
		if _, from := pa.rtp.receive(); from != a.Local().RTP || !from.Addr().Is6() {
			t.Errorf("A hears %s", from)
		}
	}
	talk()
	if a.Local().RTP.Port() == b.Local().RTP.Port() {
		t.Error("a port stands for two legs")
	}
	if err := a.Set(pb.remote()); !errors.Is(err, ErrFamily) {
		t.Errorf("A moved to IPv4: %v", err)
	}
	snap := s.Snapshot()
	s.Close()
	s, err := r.Restore(snap)
	if err != nil {
		t.Fatal(err)
	}
	a, b = s.Endpoints()[0], s.Endpoints()[1]
	talk()
}

func TestAFamilyThatIsNotConfigured(t *testing.T) {
	r := newHomes(t, Config{Public: netip.MustParseAddr("127.0.0.1")}, 1)
	if _, err := r.NewSession("call-1").EndpointToward(metrics.LegA, netip.IPv6Loopback()); !errors.Is(err, ErrFamily) {
		t.Errorf("got %v", err)
	}
	if r.ports.Free() != 1 {
		t.Error("a port is lost")
	}
}

// On a machine with several addresses packets leave by the one that peers were told; one that is not the
// machine's own is that of a NAT.
func TestPacketsLeaveByTheAddressThatWasTold(t *testing.T) {
	for public, want := range map[string]string{"127.0.0.9": "127.0.0.9", "203.0.113.10": "127.0.0.1"} {
		t.Run(public, func(t *testing.T) {
			told := netip.MustParseAddr(public)
			r := newHomes(t, Config{Public: told}, 2)
			s := r.NewSession("call-1")
			pa, pb := newPhone(t, "127.0.0.1", 0xa), newPhone(t, "127.0.0.1", 0xb)
			a, b := toward(t, s, metrics.LegA, pa), toward(t, s, metrics.LegB, pb)
			s.Bridge(a, b)
			if a.Local().RTP.Addr() != told {
				t.Errorf("told %s", a.Local().RTP)
			}
			reached := netip.AddrPortFrom(netip.MustParseAddr(want), a.Local().RTP.Port()) // where a NAT would bring it
			pa.rtp.send(packet(t, pa.ssrc, 1), reached)
			if _, from := pb.rtp.receive(); from.Addr().String() != want {
				t.Errorf("left by %s", from)
			}
		})
	}
}

func TestWhatIsItsOwn(t *testing.T) {
	ports := Ports{20000, 20009}
	addr := netip.MustParseAddr
	outside, behind := Config{Listen: addr("127.0.0.1"), Public: addr("203.0.113.10")}, Config{Public: addr("203.0.113.10")}
	both := Config{Public: addr("127.0.0.1"), PublicIPv6: addr("::1")}
	tried := Config{Public: addr("203.0.113.10"), Neighbours: true}
	tests := []struct {
		name string
		cfg  Config
		at   string
		want bool
	}{
		{"a port of the range at the public address", outside, "203.0.113.10:20008", true},
		{"its RTCP port", outside, "203.0.113.10:20009", true},
		{"a port of the range at the address behind it", outside, "127.0.0.1:20000", true},
		{"a port of the range at any address of the machine, with sockets at all of them", behind, "127.0.0.7:20000", true},
		{"another port at the public address", outside, "203.0.113.10:20010", false},
		{"a port of the range elsewhere", outside, "203.0.113.11:20000", false},
		{"the machine itself", outside, "127.0.0.1:5060", true},
		{"the machine itself by IPv6", outside, "[::1]:5060", true},
		{"the machine itself, where peers stand there, too", both, "127.0.0.1:5060", false},
		{"a port of the range at another address of the machine, where peers stand there, too", tried, "127.0.0.7:20000", false},
		{"a port of the range at the public address, where peers stand on the machine", tried, "203.0.113.10:20000", true},
		{"a port of the range by IPv6", both, "[::1]:20004", true},
		{"nowhere", outside, "invalid AddrPort", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Ports, tt.cfg.Path = ports, pathPortable
			r, err := New(tt.cfg, Deps{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			at, _ := netip.ParseAddrPort(tt.at)
			if got := r.Own(at); got != tt.want {
				t.Errorf("%s: %v", tt.at, got)
			}
		})
	}
}
