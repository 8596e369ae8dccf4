//go:build linux && (amd64 || arm64)

package kernel

import (
	"testing"

	"handoff/media/quality"
)

func TestRTPIsForwardedInTheKernel(t *testing.T) {
	for _, where := range places {
		for _, hook := range []Hook{HookAuto, HookClsact} {
			t.Run(where.name+", "+hook.String(), func(t *testing.T) {
				r := newRig(t, where)
				p := open(t, by(hook))
				start(t, p, r.way, quality.State{})
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
