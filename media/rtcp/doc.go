// Package rtcp reads the reports that peers send each other through the edge: whether they are well
// formed, and what they say of the packets that the edge sent on.
//
//	peer P ──▶ edge ──▶ peer Q      a sender report of P's: noted as sent to Q, with its time stamp
//	peer P ◀── edge ◀── peer Q      Q's report: what of P's stream it lost, its jitter, and how long ago
//	                                it had that sender report. What is left is the way to Q and back.
//
// The edge relays reports and writes none. A peer works out its round trip to the other peer from end to
// end; what is told here is the part between the edge and the peer that reports, which an operator can
// do something about.
//
// It opens no sockets and holds no keys. Any goroutine may call it; a Peer's lock is
// held for a few words, and only reports take it: one in some five seconds.
//
// RFC 3550 §6.4 (reports), A.2 (what is well formed); RFC 5506 (reduced size).
package rtcp
