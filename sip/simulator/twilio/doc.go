// Package twilio plays Twilio against a real edge: Programmable Voice with Functions, Studio and Flex behind it over real HTTP, its REST
// API for updates of calls, a SIP domain that the edge can call, and the Elastic SIP Trunk as a second kind of caller.
//
// It owns one Account: the SIP listeners, the HTTP servers, the calls it places and the tasks that arrive in Flex. It checks what the
// edge does to it (routing by the Route set, CSeq, tags, SDP, Refer-To) and reports violations; it does not know Watson and nothing of
// the edge's inside. Account, Call, Flex and Studio may be used from any goroutine.
//
// What Twilio documents or was captured is done so: header sets and their order, the two Record-Routes, the private Contact, the REFER
// by referUrl. Where nobody knows, Refer and Options have a knob. RFC 3261 §12–15, 3515, 3264; the TwiML verbs Dial, Sip, Redirect and
// Enqueue; the JavaScript of the two published functions, oddities included.
package twilio
