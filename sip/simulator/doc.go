// Package simulator holds what the two simulated vendors share: a certificate authority for the surroundings of one run, and the list
// of what the edge did wrong.
//
// It owns the rules that a peer of the edge checks (rules.go says each in one sentence), the collector of their violations, the Knob that
// sets an option by its name, and the Authority. The vendors themselves are below: twilio (Programmable Voice, Elastic trunk, Functions,
// Studio, Flex) and watson, both built on wire (an own byte-level SIP user agent), digest and phone (SDP, RTP and SRTP). Nothing here or below imports anything of the
// edge or the SIP library it is built on, so that a bug of the edge cannot hide behind the same bug in its peer.
//
// Any goroutine may call anything here. The rules come from RFC 3261, 3515, 4568 and 6665 and from how the two vendors behave.
package simulator
