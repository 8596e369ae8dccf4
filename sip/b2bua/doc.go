// Package b2bua joins the legs: a Call is one caller with Watson and, later, with whom Watson
// transfers to; the Engine is all of them.
//
// Each Call has one loop, which owns everything of it: legs, media session, transfer. The
// Engine only finds the call that a message belongs to, posts it there and goes on; it takes its
// lock for a map operation and never while calling out. Messages and results arrive through a
// bounded mailbox; RTP never does.
//
// It does not know sockets (leg.Wire), Prometheus (Observer) or where records are kept
// (journal.Store). Implemented: the back-to-back user agent of RFC 7092 §3.2 (signalling and media
// relay) with RFC 3264 offers passed between the legs.
package b2bua
