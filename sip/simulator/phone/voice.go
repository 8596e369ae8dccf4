package phone

import (
	"encoding/binary"
	"math"
)

// Payload types of RFC 3551.
const (
	PCMU uint8 = 0
	PCMA uint8 = 8
)

// frame is 20 ms at 8 kHz: a stamp, then tone.
//
//	0       4       8       12                        160
//	| magic | voice | number | 148 bytes of the tone ... |
const (
	frame     = 160
	stampSize = 12
	magic     = 0x7f80ff01 // hardly a tone or silence in either codec
)

// voice speaks and recognises stamped frames.
type voice struct {
	id    uint32
	codec uint8
	table [frame]byte // one frame of the tone; it repeats exactly
}

func newVoice(id uint32, codec uint8) *voice {
	v := &voice{id: id, codec: codec}
	hertz := 300 + 50*float64(id%16) // a multiple of 50 Hz fits 20 ms
	for i := range v.table {
		sample := int16(8000 * math.Sin(2*math.Pi*hertz*float64(i)/8000))
		if codec == PCMA {
			v.table[i] = alaw(sample)
		} else {
			v.table[i] = ulaw(sample)
		}
	}
	return v
}

// say writes frame number n into b, which has room for it.
func (v *voice) say(b []byte, n uint32) {
	copy(b, v.table[:])
	binary.BigEndian.PutUint32(b, magic)
	binary.BigEndian.PutUint32(b[4:], v.id)
	binary.BigEndian.PutUint32(b[8:], n)
}

// stamp reads what a frame says of itself; ok is false for sound that is no phone's.
func stamp(b []byte) (id, n uint32, ok bool) {
	if len(b) < stampSize || binary.BigEndian.Uint32(b) != magic {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]), true
}

// said tells whether a stamped frame is whole.
func (v *voice) said(b []byte) bool {
	return len(b) == frame && string(b[stampSize:]) == string(v.table[stampSize:])
}

// ulaw is G.711 µ-law, RFC 3551 §4.5.14.
func ulaw(s int16) byte {
	sign, v := byte(0), int(s)
	if v < 0 {
		sign, v = 0x80, -v
	}
	v = min(v, 32635) + 132
	exponent := 7
	for mask := 0x4000; exponent > 0 && v&mask == 0; mask >>= 1 {
		exponent--
	}
	return ^(sign | byte(exponent<<4) | byte(v>>(exponent+3))&0x0f)
}

// alaw is G.711 A-law.
func alaw(s int16) byte {
	sign, v := byte(0x80), int(s)
	if v < 0 {
		sign, v = 0, -v-1
	}
	code := byte(v >> 4)
	if v >= 256 {
		exponent := 7
		for mask := 0x4000; exponent > 1 && v&mask == 0; mask >>= 1 {
			exponent--
		}
		code = byte(exponent<<4) | byte(v>>(exponent+3))&0x0f
	}
	return (sign | code) ^ 0x55
}
