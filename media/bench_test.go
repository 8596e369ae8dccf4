package media

import (
	"net/netip"
	"runtime"
	"testing"

	"handoff/media/sdp"
	"handoff/metrics"
)

// BenchmarkForward is one packet through the edge over loopback, by what the edge does with it; the
// peers seal and open nothing while the time is taken. The system's part is the same in all.
func BenchmarkForward(b *testing.B) {
	for _, m := range modes {
		b.Run(string(m), func(b *testing.B) { benchmarkForward(b, m) })
	}
}

func benchmarkForward(b *testing.B, m mode) {
	r := newRig(b, 3)
	c := newTalk(b, r, m)
	c.pa.ledger.pages = nil
	const prepared = 20000
	packets := make([][]byte, prepared)
	buf := make([]byte, 2048)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%prepared == 0 {
			b.StopTimer()
			for i := range packets {
				packets[i] = c.pa.seal(1)
			}
			b.StartTimer()
		}
		c.pa.rtp.send(packets[n%prepared], c.a.Local().RTP)
		if _, _, err := c.pb.rtp.conn.ReadFromUDPAddrPort(buf); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if s := c.Stats()[0]; s.Leg != metrics.LegA || s.Foreign != [len(s.Foreign)]uint64{} {
		b.Errorf("%+v", s)
	}
}

// BenchmarkHold tells what a session weighs whose two legs pass their keys.
func BenchmarkHold(b *testing.B) {
	for b.Loop() {
		heap, stacks := weigh(b, 200)
		b.ReportMetric(heap, "heap-B/session")
		b.ReportMetric(stacks, "stack-B/session")
	}
}

// weigh returns what each of so many sessions takes, in bytes: two endpoints, bridged, keys passed.
func weigh(t testing.TB, sessions int) (heap, stacks float64) {
	t.Helper()
	r := newRig(t, 2*sessions+bindAttempts) // some, for others take ports meanwhile
	defer r.Close()
	remote := func(port uint16, ours, theirs sdp.Key) Remote {
		at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), port)
		return Remote{RTP: at, RTCP: at, Send: true, Receive: true, Clock: 8000, Suite: sdp.SHA80, LocalKey: ours, RemoteKey: theirs}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range sessions {
		s := r.NewSession("call")
		x, y := endpoint(t, s, metrics.LegA), endpoint(t, s, metrics.LegB)
		one, two := keyOf(t, 'A'), keyOf(t, 'B')
		set(t, x, remote(4000, two, one))
		set(t, y, remote(5000, one, two))
		s.Bridge(x, y)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	n := float64(sessions)
	return (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / n, (float64(after.StackInuse) - float64(before.StackInuse)) / n
}
