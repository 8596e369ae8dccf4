// Package watson plays IBM Watson Assistant's phone integration against a real edge: a sips: endpoint that answers, talks, holds, refers
// and hangs up.
//
// It owns one Assistant with its TLS listener and the calls that reach it. It checks the edge's INVITE (sips: throughout, SRTP, nothing of
// Twilio's showing), its behaviour inside the dialog, and how it carries out a REFER: 202 in time, NOTIFY 100 first, one final NOTIFY, no
// BYE before that. Violations are reported; it knows nothing of the edge's inside or of Twilio. Assistant and Call may be used from any
// goroutine.
//
// What IBM documents is done so (the three ways to send the key, hold before REFER, disconnect on failure); what nobody knows is a knob of
// Behaviour or Transfer. RFC 3261 §12–15, 3515, 6665, 3264, 4568.
package watson
