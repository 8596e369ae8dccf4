// Package webhook answers the requests that Twilio sends about a caller: what to do with him, where a referred one goes, and news of how his
// calls end. With it no Function of Twilio's is needed between the phone number and the edge.
//
// It owns the paths, the limits of a request, Twilio's signature, and the TwiML that is answered. It owns no socket and no call: the handler
// is given to a listener, and what Twilio tells is passed on as News. Nothing of a request is believed, and nothing of it is logged but its
// path, before its signature was found right. The session key goes from refer-handler's or sip-domain's parameters into their answer and
// nowhere else.
//
// The handler may be called from any number of goroutines; Deps are called on them and must not block.
//
// Twilio documents the requests as TwiML Voice webhooks, and the signature as "Validating Signatures from Twilio".
package webhook
