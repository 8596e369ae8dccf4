package media

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"handoff/media/lane"
	"handoff/media/namespace"
)

// BenchmarkForwardMany is what a packet costs where many speak at a time, as calls do: 64 endpoints, a
// packet at each, once a millisecond; over loopback, and between two network namespaces. cpu-ns/packet is
// what the whole process took for it, the peers included, and edge-ns/packet is without the thread of the peers.
// A packet's way up to the socket is theirs, for the system goes it when they send.
func BenchmarkForwardMany(b *testing.B) {
	for _, path := range []string{pathPortable, pathUserspace} {
		b.Run("loopback/"+path, func(b *testing.B) {
			available(b, path)
			benchmarkForwardMany(b, path, own(3), listen(b, "127.0.0.1:0"), listen(b, "127.0.0.1:0"))
		})
		b.Run("cable/"+path, func(b *testing.B) {
			available(b, path)
			n := namespace.New(b)
			var sender, receiver *wire
			n.InPeers(func() { sender, receiver = listen(b, namespace.Peers4+":0"), listen(b, namespace.Peers4+":0") })
			benchmarkForwardMany(b, path, namespace.Edge4, sender, receiver)
		})
	}
}

func benchmarkForwardMany(b *testing.B, name, edge string, sender, receiver *wire) {
	const endpoints = 64
	const behind = 2 // bursts that are heard later than said: nobody waits for a packet
	ip := netip.MustParseAddr(edge)
	way, err := choose(Config{Listen: ip, Ports: Ports{20000, 29999}, Path: name}, time.Now(), zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	defer way.close()
	var at []netip.AddrPort
	var carriers []carrier
	for port := uint16(20000); len(carriers) < endpoints; port += 2 {
		c, err := way.open(ip, port, nil, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		carriers, at = append(carriers, c), append(at, netip.AddrPortFrom(ip, port))
	}
	for _, c := range carriers {
		c.Forward(&lane.Flow{RTP: sender.addr(), RTCP: sender.addr(), Open: true, Out: carriers[0].Exit(), ToRTP: receiver.addr(), ToRTCP: receiver.addr()})
	}
	voice, buf := packet(b, 1, 1), make([]byte, lane.MaxPacket)
	_ = receiver.conn.SetReadDeadline(time.Now().Add(15 * time.Second))
	hear := func() {
		for range at {
			if _, _, err := receiver.conn.ReadFromUDPAddrPort(buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportAllocs()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, peers, start, n := processorTime(b, unix.RUSAGE_SELF), processorTime(b, unix.RUSAGE_THREAD), time.Now(), 0
	for ; b.Loop(); n++ {
		for _, a := range at {
			sender.send(voice, a)
		}
		if n >= behind {
			hear()
		}
		time.Sleep(time.Until(start.Add(time.Duration(n) * time.Millisecond)))
	}
	for range min(n, behind) {
		hear()
	}
	all, packets := processorTime(b, unix.RUSAGE_SELF)-before, float64(endpoints*b.N)
	b.ReportMetric(float64(all)/packets, "cpu-ns/packet")
	b.ReportMetric(float64(all-processorTime(b, unix.RUSAGE_THREAD)+peers)/packets, "edge-ns/packet")
}

func processorTime(t testing.TB, whose int) time.Duration {
	t.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(whose, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
