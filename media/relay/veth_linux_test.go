package relay

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"handoff/media/namespace"
)

func TestAPacketLeavesInAFrame(t *testing.T) {
	for name, ips := range map[string][2]string{"ipv4": {namespace.Edge4, namespace.Peers4}, "ipv6": {namespace.Edge6, namespace.Peers6}} {
		t.Run(name, func(t *testing.T) {
			n := namespace.New(t)
			path := newPathAt(t, netip.MustParseAddr(ips[0]))
			x, y := open(t, path, 20000), open(t, path, 20002)
			var sender, receiver *net.UDPConn
			n.InPeers(func() {
				sender, receiver = socketAt(t, netip.MustParseAddr(ips[1])), socketAt(t, netip.MustParseAddr(ips[1]))
			})
			bridge(x, y, addr(sender), addr(receiver))
			for seq := range uint16(20) {
				say(t, sender, x.addr(), audio(t, 1, seq))
				if _, from := take(t, receiver); from != y.addr() {
					t.Fatalf("came from %s", from)
				}
			}
			if r := y.last.Load().route.Load(); !r.framed {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A router that fails over is another neighbour at the same address.
func TestFramesFollowTheNeighbour(t *testing.T) {
	n := namespace.New(t)
	path := newPathAt(t, netip.MustParseAddr(namespace.Edge4))
	x, y := open(t, path, 20000), open(t, path, 20002)
	var sender, receiver *net.UDPConn
	there := netip.MustParseAddr(namespace.Peers4)
	n.InPeers(func() { sender, receiver = socketAt(t, there), socketAt(t, there) })
	bridge(x, y, addr(sender), addr(receiver))
	framed := func() bool {
		say(t, sender, x.addr(), audio(t, 1, 1))
		take(t, receiver)
		return y.last.Load().route.Load().framed
	}
	eventually(t, framed)

	moved := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	n.InPeers(func() {
		device, err := netlink.LinkByName("peers")
		if err == nil {
			err = netlink.LinkSetHardwareAddr(device, moved)
		}
		if err != nil {
			t.Error(err)
		}
	})
	neighbour := netlink.Neigh{LinkIndex: n.Device.Attrs().Index, IP: there.AsSlice(), HardwareAddr: moved, State: unix.NUD_REACHABLE}
	if err := netlink.NeighSet(&neighbour); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		r := y.last.Load().route.Load()
		return r.framed && net.HardwareAddr(r.link[:6]).String() == moved.String()
	})
	if !framed() {
		t.Error("no frame")
	}

	if err := netlink.NeighDel(&neighbour); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return !y.last.Load().route.Load().framed })
	eventually(t, framed) // the system asks for it, because a packet went its way
}

// Between frames a packet goes the system's own way now and then, so that it keeps asking for the neighbour.
func TestTheSystemIsAskedOnceASecond(t *testing.T) {
	w, r := new(way), &route{framed: true}
	asked := 0
	for now := 10 * time.Second; now < 20*time.Second; now += 20 * time.Millisecond {
		if !w.frames(r, now) {
			asked++
		}
	}
	if asked != 10 {
		t.Errorf("asked %d times in ten seconds", asked)
	}
	if w.frames(new(route), time.Hour) {
		t.Error("a frame to nobody")
	}
}

// A route that goes and comes back takes the packets along.
func TestPacketsFollowTheRoute(t *testing.T) {
	n := namespace.New(t)
	path := newPathAt(t, netip.MustParseAddr(namespace.Edge4))
	x, y := open(t, path, 20000), open(t, path, 20002)
	var sender, receiver *net.UDPConn
	there := netip.MustParseAddr(namespace.Peers4)
	far := netip.MustParseAddr("203.0.113.1")
	n.InPeers(func() {
		device, err := netlink.LinkByName("peers")
		if err == nil {
			err = netlink.AddrAdd(device, &netlink.Addr{IPNet: &net.IPNet{IP: far.AsSlice(), Mask: net.CIDRMask(32, 32)}})
		}
		if err != nil {
			t.Error(err)
		}
		sender, receiver = socketAt(t, there), socketAt(t, far)
	})
	bridge(x, y, addr(sender), addr(receiver))
	say(t, sender, x.addr(), audio(t, 1, 1))
	eventually(t, func() bool { return y.Report().SendErrors == 1 })
	through := netlink.Route{LinkIndex: n.Device.Attrs().Index, Dst: &net.IPNet{IP: far.AsSlice(), Mask: net.CIDRMask(32, 32)}, Gw: there.AsSlice()}
	if err := netlink.RouteAdd(&through); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return y.last.Load().route.Load().hop.ip == there })
	eventually(t, func() bool {
		say(t, sender, x.addr(), audio(t, 1, 2))
		take(t, receiver)
		return y.last.Load().route.Load().framed
	})
}
