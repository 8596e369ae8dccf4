//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"handoff/media/quality"
)

func TestOtherSourcesAndRTCPReachTheSocket(t *testing.T) {
	for _, where := range places {
		t.Run(where.name, func(t *testing.T) {
			r := newRig(t, where)
			p := open(t)
			start(t, p, r.way, quality.State{})
			rtcp := rtp(1, func(b []byte) { b[1] = 201 })
			r.from.send(rtcp, r.way.Local)
			if got := r.up.take(); got.payload != string(rtcp) || got.from != r.way.From {
				t.Errorf("RTCP from %s", got.from)
			}
			stranger := r.fromAt.udp(netip.AddrPortFrom(r.way.From.Addr(), 0))
			for i := range uint16(3) {
				stranger.send(rtp(i), r.way.Local)
				if got := r.up.take(); sequenceOf(got.payload) != i || got.from != stranger.addr {
					t.Errorf("packet %d from %s", sequenceOf(got.payload), got.from)
				}
			}
			r.from.send(rtp(9), r.way.Local)
			if got := r.to.take(); sequenceOf(got.payload) != 9 {
				t.Errorf("packet %d was forwarded", sequenceOf(got.payload))
			}
			if c := p.Stop(r.way.Local.Port()); c.Packets != 1 || c.Foreign != 3 || c.Stream.Received != 1 {
				t.Errorf("counted %+v", c)
			}
			// Another life of the slot counts from 0.
			start(t, p, r.way, quality.State{})
			if c, _ := p.Read(r.way.Local.Port()); c.Foreign != 0 || c.Packets != 0 {
				t.Errorf("counted %+v", c)
			}
		})
	}
}

func TestNothingIsForwardedAfterTheDeadline(t *testing.T) {
	r := newRig(t, places[0])
	p := open(t)
	start(t, p, r.way, quality.State{})
	slot := p.slot(r.way.Local.Port())
	r.from.send(rtp(1), r.way.Local)
	r.to.take()
	slot.refresh(uint64(p.monotonic()))
	r.from.send(rtp(2), r.way.Local)
	if got := r.up.take(); sequenceOf(got.payload) != 2 {
		t.Errorf("packet %d went up", sequenceOf(got.payload))
	}
	p.refresh()
	r.from.send(rtp(3), r.way.Local)
	if got := r.to.take(); sequenceOf(got.payload) != 3 {
		t.Errorf("packet %d was forwarded", sequenceOf(got.payload))
	}
	if c := p.Stop(r.way.Local.Port()); c.Packets != 2 {
		t.Errorf("counted %+v", c)
	}
}

// The path refreshes by itself.
func TestDeadlinesArePushedWhileTheOwnerLives(t *testing.T) {
	r := newRig(t, places[0])
	p := open(t, func(c *Config) { c.Deadline = time.Minute })
	start(t, p, r.way, quality.State{})
	if got := time.Duration(p.slot(r.way.Local.Port()).deadline) - p.monotonic(); got < 50*time.Second || got > time.Minute {
		t.Errorf("%s are left", got)
	}
	p = open(t, func(c *Config) { c.Deadline = 60 * time.Millisecond })
	start(t, p, r.way, quality.State{})
	slot := p.slot(r.way.Local.Port())
	before := slot.deadline
	eventually(t, "pushed", func() bool { c := slot.snapshot(); return c.deadline > before })
}

func TestStartRefusesWhatTheKernelCannotDo(t *testing.T) {
	r := newRig(t, places[2])
	p := open(t)
	at := netip.MustParseAddrPort
	tests := []struct {
		name   string
		change func(*Way)
		want   error
	}{
		{"a port without a slot", func(w *Way) { w.Local = at("10.77.1.1:19999") }, ErrRange},
		{"IPv6 behind IPv4", func(w *Way) { w.To = at("[fd77:2::2]:4000") }, ErrFamilies},
		{"no address", func(w *Way) { w.To = netip.AddrPort{} }, ErrAddress},
		{"no port", func(w *Way) { w.To = at("10.77.2.2:0") }, ErrAddress},
		{"the unspecified address", func(w *Way) { w.To = at("0.0.0.0:4000") }, ErrAddress},
		{"multicast", func(w *Way) { w.To = at("224.0.0.1:4000") }, ErrAddress},
		{"broadcast", func(w *Way) { w.To = at("255.255.255.255:4000") }, ErrAddress},
		{"no route", func(w *Way) { w.To = at("203.0.113.1:4000") }, ErrRoute},
		{"a local address of somebody else", func(w *Way) { w.Local = at("10.77.2.2:20000") }, ErrRoute},
		{"an Out of somebody else", func(w *Way) { w.Out = at("203.0.113.1:20000") }, ErrRoute},
		{"a circle", func(w *Way) { w.To = w.Local }, ErrOwnPort},
		{"a circle by loopback", func(w *Way) { w.To, w.Out = at("127.0.0.1:20000"), at("127.0.0.1:20002") }, ErrOwnPort},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := r.way
			tt.change(&w)
			if err := p.Start(w, quality.State{}); !errors.Is(err, tt.want) {
				t.Errorf("%v", err)
			}
			if _, ok := p.Read(w.Local.Port()); ok {
				t.Error("a slot is live")
			}
		})
	}
	// IPv4 in the form of IPv6 is IPv4.
	w := r.way
	w.From = netip.AddrPortFrom(netip.AddrFrom16(w.From.Addr().As16()), w.From.Port())
	start(t, p, w, quality.State{})
	r.from.send(rtp(1), r.way.Local)
	r.to.take()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Start(r.way, quality.State{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if c := p.Stop(r.way.Local.Port()); c != (Counts{}) {
		t.Errorf("after Close: %+v", c)
	}
}

func TestEnumsHaveNames(t *testing.T) {
	for i, h := range Hooks {
		if int(h) != i || h.String() == "unknown" {
			t.Errorf("hook %d is %s", h, h)
		}
	}
	for i, m := range Missings {
		if int(m) != i || m.String() == "unknown" || m.needs() == "" {
			t.Errorf("missing %d is %s", m, m)
		}
	}
	if Hook(len(Hooks)).String() != "unknown" || Missing(len(Missings)).String() != "unknown" {
		t.Error("not all are listed")
	}
}

// 2,000 calls have 4,000 slots; when they are over, nothing is left of them.
func TestSlotsLeaveNothing(t *testing.T) {
	r := newRig(t, places[0])
	p := open(t)
	if last-first+1 < 4000 {
		t.Fatal("too few slots")
	}
	before := descriptors(t)
	for range 2 {
		for port := uint16(first); port < first+4000; port++ {
			w := r.way
			w.Local = netip.AddrPortFrom(w.Local.Addr(), port)
			start(t, p, w, quality.State{Started: true, SSRC: uint32(port)})
		}
		for port := uint16(first); port < first+4000; port++ {
			if c := p.Stop(port); c.Stream.SSRC != uint32(port) {
				t.Fatalf("port %d: %+v", port, c)
			}
		}
	}
	if n := len(p.started); n != 0 {
		t.Errorf("%d slots are left", n)
	}
	for port := first; port <= last; port++ {
		if !p.slot(uint16(port)).isOff() {
			t.Errorf("slot %d is on", port)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}
