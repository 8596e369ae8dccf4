package lane

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"handoff/media/quality"
	"handoff/metrics"
)

func TestOnlyTheHeaderOfAPacketIsGathered(t *testing.T) {
	payload := bytes.Repeat([]byte{0xee}, 40)
	packet := func(parts ...[]byte) []byte { return bytes.Join(append(parts, payload), nil) }
	plain := []byte{0x80, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3}
	sources := []byte{0x82, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5}
	extended := []byte{0x90, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0, 1, 1, 2, 3, 4}
	report := []byte{0x80, 200, 0, 6, 0, 0, 0, 3}
	tests := []struct {
		name string
		b    []byte
		want []byte
	}{
		{"RTP", packet(plain), plain},
		{"RTP with contributing sources", packet(sources), sources},
		{"RTP with an extension", packet(extended), extended},
		{"RTP whose extension is longer than it is", append([]byte{0x90, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 1, 0}, payload...), append([]byte{0x90}, plain[1:]...)},
		{"RTCP", packet(report), report},
		{"STUN", packet([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}), nil},
		{"next to nothing", []byte{0x80}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l Lane
			l.Begin(nil, time.Now(), quality.Report{})
			from := netip.MustParseAddrPort("192.0.2.1:4000")
			l.Receive(Media, bytes.Clone(tt.b), from, 0)
			h := l.Watch(1)
			l.Receive(Media, bytes.Clone(tt.b), from, time.Second)
			l.Receive(Media, bytes.Clone(tt.b), from, time.Second)
			if !l.Watched() {
				t.Error("it is not watched")
			}
			got := h.Take()
			l.Unwatch(h)
			if l.Receive(Media, bytes.Clone(tt.b), from, time.Second); l.Watched() || h.Take() != nil {
				t.Error("it is watched still")
			}
			if tt.want == nil {
				if len(got) != 0 {
					t.Errorf("got %+v", got)
				}
				return
			}
			if len(got) != 1 || !bytes.Equal(got[0].B, tt.want) || got[0].Size != len(tt.b) || got[0].Far != from || got[0].Direction != metrics.In || got[0].Side != Media {
				t.Errorf("got %+v, want %x", got, tt.want)
			}
			if at := l.epoch.Add(time.Second); len(got) == 1 && !got[0].At.Equal(at) {
				t.Errorf("at %v, not %v", got[0].At, at)
			}
		})
	}
}

// Each reader has what came since it began, or since it took the last, whoever else comes and goes.
func TestSeveralGatherAtOneTime(t *testing.T) {
	var l Lane
	l.Begin(nil, time.Now(), quality.Report{})
	from := netip.MustParseAddrPort("192.0.2.1:4000")
	comes := func(n int) {
		for range n {
			l.Receive(Media, []byte{0x80, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1}, from, 0)
		}
	}
	first := l.Watch(3)
	comes(1)
	second := l.Watch(3)
	comes(1)
	if n := len(first.Take()); n != 2 {
		t.Errorf("the first has %d", n)
	}
	comes(5)
	l.Unwatch(first)
	if n := len(first.Take()); n != 3 { // as many as there is room for
		t.Errorf("the first has %d more", n)
	}
	if n := len(second.Take()); n != 3 || !l.Watched() {
		t.Errorf("the second has %d, watched: %v", n, l.Watched())
	}
	comes(2)
	l.Unwatch(second)
	l.Unwatch(second)
	comes(1)
	if n := len(second.Take()); n != 2 || l.Watched() {
		t.Errorf("the second has %d more, watched: %v", n, l.Watched())
	}
}
