// Package rest speaks to Twilio's REST API for one purpose: to send the caller's own call, the parent of leg A, to other TwiML, and to
// learn what became of it.
//
// It owns the HTTP client, its credentials and the judgement of what an answer proves. It does not write TwiML, does not decide whether
// another method may follow, and knows no calls of the edge: it is given SIDs. Update, Parent, Status and Check block for as long as the
// network does, at most Config.Timeout an exchange, and Resolve some seconds longer, so they belong on a child goroutine of a call and never on its loop; any number may
// run at once.
//
// What an outcome proves is the whole point (a second method must never start while the first may have worked):
//
//	the connection did not come about, or our own check refused   Unsent     nothing happened
//	4xx                                                           Rejected   nothing happened
//	2xx                                                           Accepted   Twilio will do it; the BYE on leg A is the proof
//	everything else behind the first byte of the request          Silent     nobody knows, unless Resolve finds out
//
// Check asks, for an operator, whether the credentials are right.
//
// The API is that of version 2010-04-01: POST and GET of Accounts/{AC}/Calls/{CA}.json, GET of Accounts/{AC}.json.
package rest
