package lane

import (
	"net/netip"
	"testing"
	"time"

	"handoff/media/quality"
	"handoff/media/splice"
)

func TestWarmingChangesNothing(t *testing.T) {
	from := netip.MustParseAddrPort("127.0.0.1:4000")
	var silent, alone, x, y Lane
	var stream splice.Stream
	stream.Admit(1, 0)
	for _, l := range []*Lane{&silent, &alone, &x, &y} {
		l.Begin(nil, time.Now(), quality.Report{})
	}
	alone.Forward(&Flow{RTP: from, Clock: 8000})
	x.Forward(&Flow{RTP: from, Clock: 8000, Out: &y, ToRTP: from, Open: true, Stream: &stream, Voice: 1})
	x.Receive(Media, audio(t, 7, 1), from, time.Millisecond)
	all := []*Lane{nil, &silent, &alone, &x, &y, &x}
	var before [6]quality.Report
	for i, l := range all[1:] {
		before[i] = l.Report()
	}
	Warm(all)
	for i, l := range all[1:] {
		if got := l.Report(); got != before[i] {
			t.Errorf("lane %d: %+v", i, got)
		}
	}
	if n := testing.AllocsPerRun(10, func() { Warm(all) }); n != 0 {
		t.Errorf("%.1f allocations", n)
	}
}
