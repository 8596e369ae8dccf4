//go:build linux && (amd64 || arm64)

package kernel

import (
	"testing"

	"github.com/cilium/ebpf"

	"handoff/media/quality"
)

// What the programs cost, without what the kernel does around them; including some 10 to 20 ns of
// its test run for tc, and more for XDP.
func BenchmarkProgram(b *testing.B) {
	for _, bench := range []struct {
		name    string
		program func(*Path) *ebpf.Program
		way     Way
		partial bool // the checksum is a device's to compute
		port    uint16
	}{
		{"tc/IPv4", tc, way4, false, 0},
		{"tc/IPv6", tc, way6, false, 0},
		{"tc/IPv4/helpers", tc, way4, true, 0},
		{"tc/IPv6/helpers", tc, way6, true, 0},
		{"tc/no_slot", tc, way4, false, 1},
		{"xdp/IPv4", xdp, way4, false, 0},
		{"xdp/IPv6", xdp, way6, false, 0},
	} {
		b.Run(bench.name, func(b *testing.B) {
			w := bench.way
			// A way to itself, so that the frame is the same after each run.
			w.Out, w.To = w.From, w.Local
			l := newLab(b, w)
			packet := frame(w.From, w.Local, rtp(1))
			if bench.partial {
				steer(packet, partial(packet))
			}
			udpOf(packet)[3] += byte(bench.port)
			_, took, err := bench.program(l.Path).Benchmark(packet, b.N, b.ResetTimer)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(took.Nanoseconds()), "ns/packet")
			b.ReportMetric(0, "ns/op") // the system call's, says nothing
			if c := l.counts(); bench.port == 0 && c.Packets != uint64(b.N) {
				b.Fatalf("%d of %d were forwarded", c.Packets, b.N)
			}
		})
	}
}

func tc(p *Path) *ebpf.Program  { return p.objects.RelayTc }
func xdp(p *Path) *ebpf.Program { return p.objects.RelayXdp }

// What a call costs its owner: the way to a peer is known after the first.
func BenchmarkSlot(b *testing.B) {
	r := newRig(b, places[2])
	p := open(b)
	port := r.way.Local.Port()
	b.Run("start_and_stop", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			start(b, p, r.way, quality.State{})
			p.Stop(port)
		}
	})
	b.Run("start_on_a_new_way", func(b *testing.B) {
		for b.Loop() {
			p.network.forget()
			start(b, p, r.way, quality.State{})
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		start(b, p, r.way, quality.State{})
		for b.Loop() {
			p.Read(port)
		}
	})
}
