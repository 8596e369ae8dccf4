package tone

import (
	"errors"
	"testing"

	"handoff/media"
	"handoff/media/sdp"
)

var (
	pcmu = sdp.Codec{PT: 0, Name: "PCMU", Clock: 8000, Channels: 1}
	pcma = sdp.Codec{PT: 8, Name: "pcma", Clock: 8000, Channels: 1}
)

var _ media.Source = (*Tone)(nil)

func TestEncodings(t *testing.T) {
	tests := []struct {
		sample      int16
		mulaw, alaw byte
	}{
		{0, 0xff, 0xd5}, {-1, 0x7f, 0x55}, {8, 0xfe, 0xd5}, {1000, 0xce, 0xfa}, {-1000, 0x4e, 0x7a},
		{32767, 0x80, 0xaa}, {-32768, 0x00, 0x2a},
	}
	for _, tt := range tests {
		if u, a := mulaw(tt.sample), alaw(tt.sample); u != tt.mulaw || a != tt.alaw {
			t.Errorf("%d: mulaw %02x, alaw %02x, want %02x and %02x", tt.sample, u, a, tt.mulaw, tt.alaw)
		}
	}
}

// Every sample comes back within half a step, by the decoding that G.711's tables define.
func TestEncodingsRoundTrip(t *testing.T) {
	for s := -32768; s <= 32767; s++ {
		if got := fromMulaw(mulaw(int16(s))); far(s, got, 32124) {
			t.Fatalf("mulaw: %d came back as %d", s, got)
		}
		if got := fromAlaw(alaw(int16(s))); far(s, got, 32256) {
			t.Fatalf("alaw: %d came back as %d", s, got)
		}
	}
}

// far allows half of the step at that level, a thirty-second, and what lies above the top.
func far(sample, got, top int) bool {
	sample = max(-top, min(top, sample))
	return abs(sample-got) > abs(sample)/32+8
}

func fromMulaw(b byte) int {
	b = ^b
	v := (int(b&0x0f)<<3+0x84)<<(b>>4&7) - 0x84
	if b&0x80 != 0 {
		return -v
	}
	return v
}

func fromAlaw(b byte) int {
	b ^= 0x55
	v := int(b&0x0f)<<4 + 8
	if e := b >> 4 & 7; e > 0 {
		v = (v + 0x100) << (e - 1)
	}
	if b&0x80 == 0 {
		return -v
	}
	return v
}

func abs(v int) int { return max(v, -v) }

func TestCadence(t *testing.T) {
	tests := []struct {
		name       string
		make       func(sdp.Codec) (*Tone, error)
		codec      sdp.Codec
		silence    byte
		on, period int // frames
	}{
		{"ringback in pcmu", Ringback, pcmu, 0xff, 100, 300},
		{"comfort in pcma", Comfort, pcma, 0xd5, 10, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tone, err := tt.make(tt.codec)
			if err != nil {
				t.Fatal(err)
			}
			if tone.PayloadType() != tt.codec.PT {
				t.Errorf("payload type %d", tone.PayloadType())
			}
			var buf [1200]byte
			for n := range 2 * tt.period {
				size, ok := tone.Next(buf[:])
				if size != frame || !ok {
					t.Fatalf("frame %d: %d bytes, %v", n, size, ok)
				}
				silent := true
				for _, b := range buf[:frame] {
					silent = silent && b == tt.silence
				}
				if silent != (n%tt.period >= tt.on) {
					t.Fatalf("frame %d: silent %v", n, silent)
				}
			}
		})
	}
}

func TestOnlyG711(t *testing.T) {
	for _, c := range []sdp.Codec{{PT: 107, Name: "opus", Clock: 48000, Channels: 2}, {PT: 97, Name: "PCMU", Clock: 16000, Channels: 1}, {}} {
		if _, err := Ringback(c); !errors.Is(err, sdp.ErrCodec) {
			t.Errorf("%s: %v", c, err)
		}
	}
	tone, err := Comfort(pcmu)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := tone.Next(make([]byte, frame-1)); ok {
		t.Error("wrote beyond the buffer")
	}
}
