// Package media carries the audio of calls between its legs.
//
// A Relay owns the port range and the media path. A Session owns the endpoints of one call: an
// Endpoint is a pair of bound ports and what signalling knows of the peer behind it, two endpoints
// are bridged, and a Source can be played to one. Media knows no SIP: it is told what the SDP said
// (Remote), and it accepts media from exactly the addresses said there and sends to exactly those.
//
// It does not own keys: the keys of a Remote are the peers', passed from leg to leg, and the edge
// uses them only for what it plays itself.
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
// RFC 3550 (RTP), RFC 3264 §5.1 and §8.4 (what holds mean to media), RFC 3711 §4.1 and §9.1 (no
// index used twice under a key), RFC 4961 (symmetric RTP), RFC 5761 (RTCP on the RTP port).
package media
