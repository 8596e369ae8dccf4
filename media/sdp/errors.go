package sdp

import "errors"

// What is wrong with a description. Errors of this package wrap exactly one of these. In an offer
// ErrMalformed is a 400 and the others are a 488; in an answer each means that the answer is bad.
var (
	// ErrMalformed: no SDP, too large, or a line that means nothing.
	ErrMalformed = errors.New("malformed sdp")
	// ErrNoAudio: no audio stream, or a rejected one (port 0).
	ErrNoAudio = errors.New("no audio")
	// ErrProfile: a transport other than RTP/AVP and RTP/SAVP (DTLS, feedback profiles).
	ErrProfile = errors.New("unsupported media profile")
	// ErrAddress: a host name, or an address to which no media can go.
	ErrAddress = errors.New("unusable media address")
	// ErrCodec: no codec that can be carried, or one that was not offered.
	ErrCodec = errors.New("no usable codec")
	// ErrCrypto: RTP/SAVP without a key that can be passed on, or with one that was not offered.
	ErrCrypto = errors.New("no usable srtp key")
	// ErrMismatch: an answer whose m-lines are not those of the offer (RFC 3264 §6).
	ErrMismatch = errors.New("answer does not fit the offer")
	// ErrPlain: plain RTP where the policy requires SRTP.
	ErrPlain = errors.New("srtp is required")
	// ErrSecure: SRTP where the policy is off.
	ErrSecure = errors.New("srtp is off")
)
