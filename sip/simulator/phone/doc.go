// Package phone is the audio end of a simulated party: it describes itself in SDP, speaks stamped PCMU or PCMA over RTP or SDES-SRTP,
// and measures what it hears.
//
// It owns its UDP sockets, its keys and the goroutines that read and speak, and nothing of SIP: whoever owns the dialog carries the
// descriptions. Each packet of its voice names the speaker and its number, so that loss, reordering, doubling and damage are measured
// from phone to phone, whatever a relay between them does to RTP headers. Sound without a stamp (a comfort tone) is counted apart.
//
// Methods may be called from any goroutine; Close waits for all of the phone's own. It implements what it needs of RFC 3264 (offer and
// answer), 3550, 3551, 3711 with 4568 (one AES_CM_128_HMAC_SHA1_80 key, no MKI) and 4733 (digits).
package phone
