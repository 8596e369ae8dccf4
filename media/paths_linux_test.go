package media

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"handoff/media/lane"
	"handoff/media/namespace"
	"handoff/media/quality"
)

// BenchmarkForwardMany is what a packet costs where many speak at a time, as calls do: 64 endpoints, a
// packet at each, once a millisecond; over loopback, and between two network namespaces. cpu-ns/packet is
// what the whole process took for it, the peers included, which are the same for all paths.
func BenchmarkForwardMany(b *testing.B) {
	for _, path := range []string{pathPortable, pathUserspace} {
		b.Run("loopback/"+path, func(b *testing.B) {
			available(b, path)
			benchmarkForwardMany(b, path, "127.0.0.18", listen(b, "127.0.0.1:0"), listen(b, "127.0.0.1:0"))
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
	var all []carrier
	for port := uint16(20000); len(all) < endpoints; port += 2 {
		c, err := way.open(ip, port, quality.Report{})
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		all, at = append(all, c), append(at, netip.AddrPortFrom(ip, port))
	}
	for _, c := range all {
		c.Forward(&lane.Flow{RTP: sender.addr(), RTCP: sender.addr(), Open: true, Out: all[0].Exit(), ToRTP: receiver.addr(), ToRTCP: receiver.addr()})
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
	before, start, n := processorTime(b), time.Now(), 0
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
	b.ReportMetric(float64(processorTime(b)-before)/float64(endpoints*b.N), "cpu-ns/packet")
}

func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
