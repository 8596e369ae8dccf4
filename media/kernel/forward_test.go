//go:build linux && (amd64 || arm64)

package kernel

import (
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"handoff/media/quality"
)

// Whoever listens at all addresses is spoken to at the one that the route to the peer has.
func TestUnspecifiedAddressesAreThoseOfTheRoutes(t *testing.T) {
	for _, where := range places {
		if !where.wire { // over loopback a route's address is the peer's own
			continue
		}
		t.Run(where.name, func(t *testing.T) {
			r := newRig(t, where)
			p := open(t)
			way, any := r.way, netip.IPv4Unspecified()
			if where.six {
				any = netip.IPv6Unspecified()
			}
			way.Local, way.Out = netip.AddrPortFrom(any, way.Local.Port()), netip.AddrPortFrom(any, way.Out.Port())
			start(t, p, way, quality.State{})
			r.from.send(rtp(1), r.way.Local)
			if got := r.to.take(); got.from != r.way.Out {
				t.Errorf("from %s, want %s", got.from, r.way.Out)
			}
		})
	}
}

func TestRTPIsForwardedInTheKernel(t *testing.T) {
	for _, where := range places {
		for _, hook := range []Hook{HookAuto, HookClsact} {
			t.Run(where.name+", "+hook.String(), func(t *testing.T) {
				r := newRig(t, where)
				p := open(t, by(hook))
				start(t, p, r.way, quality.State{})
				if by := p.Devices()["lo"]; by != map[Hook]string{HookAuto: "tcx", HookClsact: "clsact"}[hook] {
					t.Errorf("loopback is met by %q", by)
				}
				for i := range uint16(20) {
					b := rtp(i)
					r.from.send(b, r.way.Local)
					got := r.to.take()
					if got.payload != string(b) || got.from != r.way.Out || got.ttl != 64 {
						t.Fatalf("packet %d: %d bytes from %s with TTL %d", i, len(got.payload), got.from, got.ttl)
					}
				}
				counts := p.Stop(r.way.Local.Port())
				if counts.Packets != 20 || counts.Bytes != 20*172 || counts.Stream.Received != 20 || counts.LastSeen.IsZero() {
					t.Errorf("counted %+v", counts)
				}
				if !r.up.empty() {
					t.Error("a forwarded packet went up too")
				}
				r.from.send(rtp(20), r.way.Local)
				if got := r.up.take(); sequenceOf(got.payload) != 20 {
					t.Errorf("after Stop packet %d went up", sequenceOf(got.payload))
				}
			})
		}
	}
}

// A packet whose payload, the RTP header with it, is in a page of its own: some drivers leave it there.
func TestPayloadInAnotherPageIsForwarded(t *testing.T) {
	for _, where := range places {
		t.Run(where.name, func(t *testing.T) { sendFromFile(t, where) })
	}
}

func sendFromFile(t *testing.T, where place) {
	r := newRig(t, where)
	p := open(t)
	start(t, p, r.way, quality.State{})
	file, err := os.CreateTemp(t.TempDir(), "rtp")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(rtp(1)); err != nil {
		t.Fatal(err)
	}
	raw, err := r.from.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		local := r.way.Local
		var to unix.Sockaddr
		if where.six {
			to = &unix.SockaddrInet6{Port: int(local.Port()), Addr: local.Addr().As16()}
		} else {
			to = &unix.SockaddrInet4{Port: int(local.Port()), Addr: local.Addr().As4()}
		}
		if failed = unix.Connect(int(fd), to); failed == nil {
			var offset int64
			_, failed = unix.Sendfile(int(fd), int(file.Fd()), &offset, len(rtp(1)))
		}
	})
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	if got := r.to.take(); got.payload != string(rtp(1)) {
		t.Errorf("packet %d", sequenceOf(got.payload))
	}
	_ = file.Close()
}
