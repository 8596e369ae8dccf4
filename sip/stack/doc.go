// Package stack puts SIP messages on the wire and takes them off it.
//
// It owns sockets, framing, TLS, connections (Flow), the dialer, transactions and the tombstones of
// ended dialogs. It knows no dialog and no call: who may speak is asked of Deps.Admit, what arrives is
// posted to Deps.Handler and to the sink of a request. Every message leaves through one guard (guard.go).
//
//	listen.go → accept.go ─┐                         ┌→ servertx.go ─→ Handler
//	            udp.go ────┼→ parse.go, checks.go → dispatch.go
//	dial.go → tls.go ──────┘   (badrequest.go)       └→ clienttx.go ─→ sink
//	                                                         │
//	send.go → clienttx.go → link.go → flow.go, stream.go ← guard.go
//	servertx.go → wayback.go ─┘          pulse.go ─┘
//
// Where a transaction stands is machine.go's, the four machines as tables; clock.go runs their timers. They take no
// goroutine: a message steps them on the goroutine that brings it, a timer on its own. What is over but for copies that
// may come by UDP is settled.go's.
//
// Goroutines: one for each listening socket, two for each connection (reader, writer), one for each
// dial. The goroutine that read a message carries it through parser, transaction and Handler before
// it reads the next, so the order on the wire is the order of events. Handler and sinks must
// therefore not block. All exported methods may be called from any goroutine; none of them waits
// for the network, except New (binds) and Close (waits for all goroutines).
//
// Where TLS is concerned: sip/stack/certificate says what is wrong with a peer's certificate, keylog.go writes secrets down when told to.
//
// Implemented: RFC 3261 §7 (format), §8.1.1.7 and §18 (Via, transport), §9 (CANCEL), §16.3 in part
// and §8.2.2 (checks), §17 (transactions), RFC 3581 (rport), RFC 6026 (INVITE transactions after a
// 2xx), RFC 5626 §3.5.1 and §4.4.1 (keep-alive of streams, both roles), RFC 3263 §4 (SRV).
// Not implemented: NAPTR (RFC 3263 §4.1), compression, WebSocket.
package stack
