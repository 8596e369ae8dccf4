// Package srtp opens and seals the packets of a leg that the edge terminates.
//
// An Opener holds the key that a peer encrypts by: it authenticates, refuses what came before and
// decrypts. A Sealer holds the key that a peer decrypts by, and one SSRC: it encrypts, and covers no
// index twice. Both work in place and allocate nothing per packet, and both know which packet of
// 2⁴⁸ they deal with themselves (RFC 3711 §3.3.1): the cipher below, pion/srtp, is told the
// roll-over counter with each packet. So the state is bounded whatever a network sends, it can be
// written down, and a stream can be joined in its middle.
//
//	0                 12 + CSRCs + extension            len-tag    len
//	| RTP header       | payload                        | tag       |  RFC 3711 §3.1
//	|  authenticated   |  authenticated and encrypted   | 10, 4, 16 |
//
// It owns no sockets and does not choose keys or SSRCs. Any goroutine may call an Opener, which locks
// for one packet: RTP and RTCP of a leg are read by two goroutines, and a third records the state. The
// lock is hardly ever contended and takes a hundredth of what the cipher does. A Sealer is its user's
// to guard.
//
// RFC 3711 (SRTP, §3.3 packet processing, §3.3.2 replay, §3.4 SRTCP, §9.1 two-time pad), RFC 4568
// §6.2 and RFC 7714 (the suites). With AES-GCM an index that is used twice gives away more than two
// payloads: who finds one can forge packets (RFC 7714 §8.4), so that the rule is the same and the
// harm greater.
package srtp
