package refer

import (
	"fmt"
	"slices"

	"handoff/sip/uri"
)

// Ask is all of a REFER, or of a BYE with a transfer target, in which Watson may have put the target,
// the key and the context. Like a Header it shows nothing of that when it is printed.
type Ask struct {
	ReferTo []string // all Refer-To values as written; exactly one is legal
	Headers []Header // all headers of the request, in order; those that are no context are passed over
	Contact string   // the Contact value as written, "" when absent
}

// Format makes the verbs of fmt print how much there is.
func (a Ask) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "%d Refer-To, %d headers, Contact of %d bytes", len(a.ReferTo), len(a.Headers), len(a.Contact))
}

// Request is what Watson asked for.
type Request struct {
	// Target is what was asked for: user, host and port of a SIP URI, or the number of a tel URI. Only
	// one that is not intercepted keeps its parameters.
	Target uri.URI
	// Intercepted tells that the edge carries the transfer out. It is false only under Policy.Pass:
	// then method refer hands Twilio the target as it is, and no other method fits.
	Intercepted bool
	Key         Key       // empty when Watson sent none
	KeyFrom     Source    // where the key stood; zero without a key
	Context     []Header  // what goes along with the key where there is room, without the key
	Dropped     []Dropped // what does not go on, in the order in which it was met
}

// Source tells where a value stood.
type Source struct {
	Place Place
	Name  string // of the header, as written
}

// Decode judges what one REFER asks for. An error is a *Refusal: 400 for what is broken or ambiguous,
// 603 for a target that is disguised or not intercepted. Nothing is guessed: two readers of a
// doubtful text would see two keys, or two targets.
func Decode(ask Ask, policy Policy) (Request, error) {
	if len(ask.ReferTo) != 1 {
		return Request{}, malformed(CauseCount, "want exactly one Refer-To") // RFC 3515 §2.4.1
	}
	to, err := uri.ParseNameAddr(ask.ReferTo[0])
	if err != nil {
		return Request{}, malformed(CauseSyntax, err.Error())
	}
	target, err := newTarget(to)
	if err != nil {
		return Request{}, err
	}
	r := Request{Intercepted: policy.intercepts(target)}
	if !r.Intercepted && !policy.Pass {
		return Request{}, declined(CauseTarget, "target is not in transfer.intercept")
	}
	if r.Target = target.kept(); !r.Intercepted {
		r.Target = target.whole
	}
	found, err := gather(ask, target)
	if err != nil {
		return Request{}, err
	}
	if err := r.sort(found, policy); err != nil {
		return Request{}, err
	}
	return r, nil
}

// DecodeHangup judges a transfer by BYE (Watson's transfer_method "hangup"): target is the value of
// its Transfer-Target header, whatever that is called, and takes the place of ask.ReferTo. Nobody
// hears the code of a Refusal then: the BYE is answered 200 in any case.
func DecodeHangup(target string, ask Ask, policy Policy) (Request, error) {
	ask.ReferTo = []string{target}
	ask.Headers = slices.DeleteFunc(slices.Clone(ask.Headers), func(h Header) bool {
		return h.Value == target // the header itself, which may be called X-…, is no context
	})
	return Decode(ask, policy)
}
