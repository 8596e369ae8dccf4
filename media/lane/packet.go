package lane

import "encoding/binary"

// kind is what a datagram on a media port is, as far as its first bytes tell.
type kind uint8

const (
	malformed kind = iota // neither: too short, STUN, DTLS, another version
	rtp
	rtcp
)

const (
	rtpHeader  = 12
	rtcpHeader = 8
)

// classify tells RTP from RTCP by the second byte (RFC 5761 §4), on either port: what the byte says
// of a datagram on its own port must be true as well.
//
//	 0                   1                   2                   3
//	|V=2|P|X|  CC   |M|     PT      |       sequence number         |  RTP, RFC 3550 §5.1
//	|V=2|P|   RC    |   192…223     |       length in words - 1     |  RTCP, RFC 3550 §6.4
//
// A first byte of 0–3 is STUN and 20–63 is DTLS (RFC 7983); both have another "version".
func classify(b []byte) kind {
	if len(b) < rtcpHeader || len(b) == MaxPacket || b[0]>>6 != 2 {
		return malformed
	}
	if 192 <= b[1] && b[1] <= 223 {
		if words := int(binary.BigEndian.Uint16(b[2:])); 4*(words+1) > len(b) {
			return malformed
		}
		return rtcp
	}
	// 64–95 without the marker bit stays free, so that no RTP is taken for RTCP elsewhere.
	if pt := payloadType(b); len(b) < rtpHeader || 64 <= pt && pt <= 95 {
		return malformed
	}
	return rtp
}

func payloadType(b []byte) uint8 { return b[1] & 0x7f }
func sequence(b []byte) uint16   { return binary.BigEndian.Uint16(b[2:]) }
func timestamp(b []byte) uint32  { return binary.BigEndian.Uint32(b[4:]) }
func ssrc(b []byte) uint32       { return binary.BigEndian.Uint32(b[8:]) }

// reporter is the SSRC that the first packet of a compound speaks for.
func reporter(b []byte) uint32 { return binary.BigEndian.Uint32(b[4:]) }
