// Package media carries the audio of calls between its legs.
//
// A Relay owns the port range and the media path. A Session owns the endpoints of one call: an
// Endpoint is a pair of bound ports and what signalling knows of the peer behind it, two endpoints
// are bridged, and a Source can be played to one. Media knows no SIP: it is told what the SDP said
// (Remote), and it accepts media from exactly the addresses said there and sends to exactly those.
//
// A bridge works in one of two ways, which the keys of its two Remotes decide. Where each peer holds
// the other's key, and a payload type means the same to both, SRTP passes as it is and nobody decrypts on
// the way. Otherwise the edge terminates
// each leg by itself: what comes is opened by the sender's key (media/srtp), gets its place in the one
// stream that the receiver hears whoever speaks (media/splice), and is sealed by the receiver's key;
// either side may be plain. What is played goes into the same stream, and on a leg that is passed to
// into one of its own, for no key may cover two payloads at one SSRC and index.
//
//	              signalling (one goroutine a call)
//	                   │ Set, Bridge, Play        ▲ Stats
//	  peer of x        ▼                          │         peer of y
//	RTP, RTCP ⇄ [Endpoint x] ── immutable flow ── [Endpoint y] ⇄ RTP, RTCP
//
// Methods of a Session and its Endpoints belong to the call's goroutine, but are safe from any.
// They never wait for packets to come, and packets never wait for them: what a packet needs is
// published whole. The methods that stop something (Freeze, Close, the stop of Play) wait for the
// packet in work.
//
// RFC 3550 (RTP), RFC 3264 §5.1 and §8.4 (what holds mean to media), RFC 3711 §3.3 and §9.1 (no
// index used twice under a key), RFC 4961 (symmetric RTP), RFC 5761 (RTCP on the RTP port).
package media
