// Package tone makes the sounds that the edge plays itself, as frames of G.711.
//
// It owns the generators and the two encodings; it opens no sockets and builds no packets. A Tone
// is a media.Source: whoever plays it calls Next, one goroutine at a time.
//
// ITU-T G.711 (PCMU, PCMA), RFC 3551 §4.5.14.
package tone

import (
	"fmt"
	"math"
	"strings"
	"time"

	"handoff/media/sdp"
)

const (
	rate   = 8000            // samples a second
	frame  = rate / 50       // samples in 20 ms
	attack = rate / 1000 * 5 // samples a tone takes to swell, so that it does not click
)

// Tone is an endless sound with a cadence.
type Tone struct {
	payloadType uint8
	encode      func(int16) byte
	hertz       []float64
	level       float64 // peak of each frequency, in sample units
	on, period  int     // samples
	at          int     // within the period
}

// Ringback is what a caller hears while a phone rings: 440 and 480 Hz, two seconds of six.
func Ringback(c sdp.Codec) (*Tone, error) {
	return newTone(c, 2000, 2*time.Second, 6*time.Second, 440, 480)
}

// Comfort is a soft, short beep every four seconds: the line is alive, somebody is at work.
func Comfort(c sdp.Codec) (*Tone, error) {
	return newTone(c, 1000, 200*time.Millisecond, 4*time.Second, 425)
}

// newTone takes the codec as negotiated; only G.711 is spoken here.
func newTone(c sdp.Codec, level float64, on, period time.Duration, hertz ...float64) (*Tone, error) {
	t := &Tone{
		payloadType: c.PT, hertz: hertz, level: level,
		on: int(on * rate / time.Second), period: int(period * rate / time.Second),
	}
	switch {
	case c.Clock == rate && c.Channels == 1 && strings.EqualFold(c.Name, "PCMU"):
		t.encode = mulaw
	case c.Clock == rate && c.Channels == 1 && strings.EqualFold(c.Name, "PCMA"):
		t.encode = alaw
	default:
		return nil, fmt.Errorf("%w: no tone in %s", sdp.ErrCodec, c)
	}
	return t, nil
}

// PayloadType is that of the codec.
func (t *Tone) PayloadType() uint8 { return t.payloadType }

// Next writes 20 ms; there is always more. A buffer too small for a frame ends the tone.
func (t *Tone) Next(buf []byte) (int, bool) {
	if len(buf) < frame {
		return 0, false
	}
	for i := range frame {
		buf[i] = t.encode(t.sample())
	}
	return frame, true
}

func (t *Tone) sample() int16 {
	at := t.at
	t.at = (t.at + 1) % t.period
	if at >= t.on {
		return 0
	}
	sum := 0.0
	for _, f := range t.hertz {
		sum += t.level * math.Sin(2*math.Pi*f*float64(at)/rate)
	}
	swell := min(1, float64(min(at, t.on-at))/attack)
	return int16(sum * swell)
}

// mulaw encodes a sample by G.711 µ-law.
func mulaw(s int16) byte {
	const bias, clip = 0x84, 32635
	v, sign := int(s), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, clip) + bias
	exponent := segment(v >> 7)
	return ^(sign | exponent<<4 | byte(v>>(exponent+3))&0x0f)
}

// alaw encodes a sample by G.711 A-law. Negative values are folded as one's complement.
func alaw(s int16) byte {
	v, mask := int(s)>>3, byte(0xd5)
	if v < 0 {
		v, mask = -v-1, 0x55
	}
	exponent := segment(v >> 4)
	if exponent == 0 {
		return byte(v>>1)&0x0f ^ mask
	}
	return (exponent<<4 | byte(v>>exponent)&0x0f) ^ mask
}

// segment is the position of the highest bit set, 0 to 7.
func segment(v int) byte {
	n := byte(0)
	for v >>= 1; v > 0 && n < 7; v >>= 1 {
		n++
	}
	return n
}
