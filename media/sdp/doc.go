// Package sdp reads what a peer says about its audio and writes what the edge says to the other one.
//
// It owns the model of a session description as far as the edge understands it (one audio stream,
// RTP/AVP or RTP/SAVP with SDES keys) and the rules that an offer, its answer and a hold obey. It
// does not own sockets, ports or keys in use: a Description is data, a media.Session is a resource.
//
// Nothing a peer wrote crosses to the other peer but what this package understood and wrote anew:
// no address, no name of a host, no o= or s= line, no attribute outside rtpmap, fmtp, ptime, maxptime, silenceSupp,
// crypto, rtcp-mux and the direction.
//
// Everything but GenerateKey and GenerateCryptos is a pure function of its arguments, and all is safe
// from any goroutine.
//
// RFC 8866 (SDP), RFC 3264 (offer/answer: §5, §6, §8), RFC 4568 (SDES: §5, §6, §9),
// RFC 3605 (a=rtcp), RFC 5761 §5.1 (rtcp-mux), RFC 3551 §6 (static payload types).
package sdp
