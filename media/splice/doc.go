// Package splice makes one stream of RTP out of many: what a peer hears comes from the assistant, from
// a tone, from an agent, and the peer sees one SSRC whose sequence numbers and timestamps go on
// without a break, and the payload types that it asked for.
//
//	assistant  ssrc b, 4711 4712          ┐
//	tone                     ssrc t, 7 8  ├─▶  ssrc b, 4711 4712 4713 4714 4715 …
//	agent                       ssrc c, 3 ┘             the marker on 4713 and 4715
//
// A Stream owns the numbers of what the edge sends to one peer and, when that leg is SRTP, the Sealer
// which encrypts it: the number of a packet and its index under the key are one decision, made under
// one lock. Whoever speaks goes through it, so that two speakers can't race for a number. What passes
// a leg untouched (keys that the two peers hold, not the edge) does not go through a Stream.
//
// It opens no sockets and decides no routes. Any goroutine may call it; the lock is held for the work
// on one packet and never for the system. Uncontended it takes 10 ns, a thousandth of what the system
// takes to send the packet.
//
// RFC 3550 §5.1 (sequence number, timestamp, marker), §6.4 (reports), §8.2 (a source keeps its SSRC);
// RFC 3711 §3.3.1 (a first sequence number below 2¹⁵), §9.1 (SSRC and index are used once).
package splice
