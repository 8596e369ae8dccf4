package tone

// mulaw encodes a sample by G.711 µ-law.
func mulaw(s int16) byte {
	const clip = 32635
	v, sign := int(s), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, clip) + bias
	exponent := segment(v >> 7)
	return ^(sign | exponent<<4 | byte(v>>(exponent+3))&0x0f)
}

const bias = 0x84

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

// fromMulaw decodes G.711 µ-law.
func fromMulaw(b byte) int16 {
	b = ^b
	v := (int(b&0x0f)<<3+bias)<<(b>>4&7) - bias
	if b&0x80 != 0 {
		return int16(-v)
	}
	return int16(v)
}

// fromAlaw decodes G.711 A-law.
func fromAlaw(b byte) int16 {
	b ^= 0x55
	v := int(b&0x0f)<<4 + 8
	if e := b >> 4 & 7; e > 0 {
		v = (v + 0x100) << (e - 1)
	}
	if b&0x80 == 0 {
		return int16(-v)
	}
	return int16(v)
}
