package tone

import "testing"

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

// Every sample comes back within half a step, by the decoding that G.711's tables define, and every
// code comes back as itself.
func TestEncodingsRoundTrip(t *testing.T) {
	for s := -32768; s <= 32767; s++ {
		if got := int(fromMulaw(mulaw(int16(s)))); far(s, got, 32124) {
			t.Fatalf("mulaw: %d came back as %d", s, got)
		}
		if got := int(fromAlaw(alaw(int16(s)))); far(s, got, 32256) {
			t.Fatalf("alaw: %d came back as %d", s, got)
		}
	}
	for b := range 256 {
		if got := mulaw(fromMulaw(byte(b))); got != byte(b) && b != 0x7f { // 0x7f is a second zero
			t.Errorf("mulaw %02x came back as %02x", b, got)
		}
		if got := alaw(fromAlaw(byte(b))); got != byte(b) {
			t.Errorf("alaw %02x came back as %02x", b, got)
		}
	}
}

// far allows half of the step at that level, a thirty-second, and what lies above the top.
func far(sample, got, top int) bool {
	sample = max(-top, min(top, sample))
	return max(sample-got, got-sample) > max(sample, -sample)/32+8
}
