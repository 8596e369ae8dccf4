//go:build linux && (amd64 || arm64)

package kernel

import (
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"handoff/media/quality"
)

// A route that changes takes live slots with it; one that is gone turns them off.
func TestSlotsFollowTheRoutes(t *testing.T) {
	r := newRig(t, places[2])
	r.outAt.cable(3)
	p := open(t)
	start(t, p, r.way, quality.State{})
	var sequence uint16
	next := func() []byte { sequence++; return rtp(sequence) }
	r.from.send(next(), r.way.Local)
	r.to.take()

	second, err := netlink.LinkByName("relay3")
	if err != nil {
		t.Fatal(err)
	}
	dst, err := netlink.ParseIPNet(r.way.To.Addr().String() + "/32")
	if err != nil {
		t.Fatal(err)
	}
	gateway, err := netlink.ParseIPNet("10.77.3.2/24")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: second.Attrs().Index, Dst: dst, Gw: gateway.IP}); err != nil {
		t.Fatal(err)
	}
	slot := p.slot(r.way.Local.Port())
	eventually(t, "by the other cable", func() bool {
		return atomic.LoadUint32(&slot.ifindex) == uint32(second.Attrs().Index) && !slot.isOff()
	})
	b := next()
	r.from.send(b, r.way.Local)
	if got := r.to.take(); got.payload != string(b) || got.from != r.way.Out {
		t.Errorf("packet %d from %s", sequenceOf(got.payload), got.from)
	}
	if c, _ := p.Read(r.way.Local.Port()); c.Packets != 2 {
		t.Errorf("counted %+v", c)
	}

	nowhere := &netlink.Route{Dst: dst, Type: unix.RTN_UNREACHABLE}
	if err := netlink.RouteReplace(nowhere); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := netlink.RouteDel(nowhere); err != nil {
			t.Error(err)
		}
	}()
	eventually(t, "off", slot.isOff)
	b = next()
	r.from.send(b, r.way.Local)
	if got := r.up.take(); got.payload != string(b) {
		t.Errorf("packet %d went up", sequenceOf(got.payload))
	}
	if c := p.Stop(r.way.Local.Port()); c.Packets != 2 || c.Stream.Received != 2 {
		t.Errorf("counted %+v", c)
	}
}

func TestPacketsTooLongForTheDeviceGoUp(t *testing.T) {
	for _, where := range places[2:] {
		r := newRig(t, where)
		p := open(t)
		start(t, p, r.way, quality.State{})
		long := append(rtp(1), make([]byte, 1200)...)
		r.from.send(long, r.way.Local)
		r.to.take()
		out, err := netlink.LinkByName("relay2")
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetMTU(out, 1300); err != nil {
			t.Fatal(err)
		}
		slot := p.slot(r.way.Local.Port())
		eventually(t, "the MTU is known", func() bool { s := slot.snapshot(); return s.mtu == 1300 && s.state == live })
		r.from.send(long, r.way.Local)
		if got := r.up.take(); got.payload != string(long) {
			t.Errorf("%s: %d bytes went up", where.name, len(got.payload))
		}
		if err := netlink.LinkDel(out); err != nil {
			t.Fatal(err)
		}
		eventually(t, "off", slot.isOff)
		if c := p.Stop(r.way.Local.Port()); c.Packets != 1 {
			t.Errorf("%s: counted %+v", where.name, c)
		}
		near, err := netlink.LinkByName("relay1")
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkDel(near); err != nil {
			t.Fatal(err)
		}
	}
}
