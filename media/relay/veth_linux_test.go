package relay

import (
	"net"
	"net/netip"
	"testing"

	"handoff/media/namespace"
)

// frames tells how many packets left the edge's end in frames: those that a raw socket did not make.
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
