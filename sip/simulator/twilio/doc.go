// Package twilio plays Twilio against a real edge: Programmable Voice with Functions, Studio and Flex behind it over real HTTP, its REST
// API for updates of calls, a SIP domain that the edge can call, and the Elastic SIP Trunk as a second kind of caller.
//
// It owns one Account: the SIP listeners, the HTTP servers, the calls it places and the tasks that arrive in Flex. It checks what the
// edge does to it (routing by the Route set, CSeq, tags, SDP, Refer-To) and reports violations; it does not know Watson and nothing of
// the edge's inside. Account, Call, Flex and Studio may be used from any goroutine.
//
// What Twilio documents or was captured is done so: header sets and their order, the two Record-Routes, the private Contact, the REFER
// by referUrl. Where nobody knows, Config, Options, Refer, REST and Reception have a knob; Setup lists them by name. RFC 3261 §12–15, 3515,
// 3264; the TwiML verbs Dial, Redirect, Enqueue, Hangup and Reject (Say, Play and Pause take no time); the JavaScript of the two published
// functions, oddities included, or a customer's own webhooks. Webhooks are asked by POST only, and signed.
package twilio
