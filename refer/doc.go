// Package refer holds what the edge knows about transfers, as pure data: it reads Watson's request
// in every form Watson has for it, keeps the session history key and re-issues it, decides which
// targets are intercepted, predicts which methods can carry the key, reads and writes sipfrag and
// the subscription headers, and owns the machine that says what happens next in a transfer.
//
// It does not own sockets, timers, dialogs or goroutines: the executor in sip/b2bua/transfer
// carries out the machine's actions. All functions are pure; a Machine belongs to one goroutine,
// the call's.
//
// RFC 3515 (REFER), RFC 4488 (Refer-Sub), RFC 3420 (message/sipfrag), RFC 6665 §8.2 (Event,
// Subscription-State), RFC 3261 §19.1 (URI headers), RFC 7433 (User-to-User), RFC 3966 (tel).
package refer
