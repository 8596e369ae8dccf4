// Package refer holds what the edge knows about transfers, as pure data: it reads Watson's
// Refer-To, keeps the session history key and re-issues it, decides which targets are
// intercepted, reads and writes sipfrag and the subscription headers, and owns the machine that
// says what happens next in a transfer.
//
// It does not own sockets, timers, dialogs or goroutines: the executor in sip/b2bua/transfer
// carries out the machine's actions. All functions are pure; a Machine belongs to one goroutine,
// the call's.
//
// RFC 3515 (REFER), RFC 3420 (message/sipfrag), RFC 6665 §8.2 (Event, Subscription-State),
// RFC 3261 §19.1.1 (URI headers).
package refer

import (
	"strings"

	"handoff/sip/uri"
)

// KeyHeader carries the key, in the only letter case that Twilio's refer handler knows.
const KeyHeader = "X-Watson-Assistant-Session-History-Key"

// Request is what Watson asked for with a REFER.
type Request struct {
	Target  uri.URI  // scheme, user, host and port only
	Key     Key      // empty when Watson sent none
	Dropped []string // names of the URI headers that do not go on, in their order
}

// Decode judges the Refer-To values of one REFER. An error is a *Refusal: 400 for what is broken or
// ambiguous, 603 for a target that is not intercepted. Nothing is guessed: two readers of a doubtful
// text would see two keys, or two targets.
func Decode(values []string, policy Policy) (Request, error) {
	if len(values) != 1 {
		return Request{}, malformed("want exactly one Refer-To")
	}
	to, err := uri.ParseNameAddr(values[0])
	if err != nil {
		return Request{}, malformed(err.Error())
	}
	headers, err := decodeHeaders(to.URI.Headers)
	if err != nil {
		return Request{}, err
	}
	target, err := newTarget(to.URI)
	if err != nil {
		return Request{}, err
	}
	if !policy.intercepts(target) {
		return Request{}, notIntercepted()
	}
	r := Request{Target: uri.URI{Scheme: to.URI.Scheme, User: to.URI.User, Host: to.URI.Host, Port: to.URI.Port}}
	for _, h := range headers {
		if !strings.EqualFold(h.name, KeyHeader) {
			r.Dropped = append(r.Dropped, h.name)
			continue
		}
		if r.Key, err = NewKey(h.value); err != nil {
			return Request{}, malformed(err.Error())
		}
	}
	return r, nil
}
