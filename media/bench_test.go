package media

import (
	"testing"

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
