//go:build linux && (amd64 || arm64)

package kernel

import (
	"testing"
	"time"

	"handoff/media/quality"
)

// A sample is the next packet as it came, and it is forwarded all the same.
func TestAPacketThatIsForwardedCanBeSampled(t *testing.T) {
	for _, where := range places {
		for _, hook := range Hooks {
			t.Run(where.name+", "+hook.String(), func(t *testing.T) {
				r := newRig(t, where)
				p := open(t, by(hook))
				port := r.way.Local.Port()
				start(t, p, r.way, quality.State{})
				say := func(n uint16) string {
					b := rtp(n)
					r.from.send(b, r.way.Local)
					if got := r.to.take(); got.payload != string(b) {
						t.Fatalf("packet %d: %d bytes", n, len(got.payload))
					}
					return string(b)
				}
				say(1)
				if p.Sampled(port) != nil {
					t.Error("sampled unasked")
				}
				p.Sample(port)
				if p.Sampled(port) != nil {
					t.Error("sampled before one came")
				}
				want := say(2)
				say(3)
				if got := string(p.Sampled(port)); got != want {
					t.Errorf("sampled %d bytes, want those of the next", len(got))
				}
				p.Sample(port)
				start(t, p, r.way, quality.State{})
				say(4)
				if p.Sampled(port) != nil {
					t.Error("what an earlier way was asked for is sampled")
				}
				p.Sample(port)
				long := append(rtp(5), make([]byte, 400)...)
				r.from.send(long, r.way.Local)
				r.to.take()
				time.Sleep(time.Millisecond)
				if p.Sampled(port) != nil {
					t.Error("half a packet is sampled")
				}
				if c := p.Stop(port); c.Packets != 2 {
					t.Errorf("counted %+v", c)
				}
				p.Sample(port)
				if p.Sampled(port) != nil {
					t.Error("nobody's")
				}
			})
		}
	}
}
