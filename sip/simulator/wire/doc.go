// Package wire is a SIP user agent at the level of bytes, for the simulated vendors: what it sends is exactly the header lines it was
// given, in their order, and it can do wrong on purpose.
//
// It owns sockets (UDP, TCP, TLS), framing, transactions (RFC 3261 §17: retransmission, matching, the ACK of a failed INVITE; §13.3.1.4:
// a 2xx is repeated until its ACK) and dialogs as plain data. It does not know calls, SDP or either vendor, does not resolve names beyond
// the standard library, and answers nothing of itself but retransmissions.
//
// An Endpoint, its Conns and its transactions may be used from any goroutine. Handler and the sinks of transactions run on the goroutine
// that read the message, in the order of the wire, and must not block. A Message and a Dialog belong to whoever holds them.
//
// Deviation from RFC 3261 §18: a response goes back over the connection or socket that brought its request, whatever its Via says; the
// simulated vendors sit on the far side of no NAT.
package wire
