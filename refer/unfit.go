package refer

import (
	"errors"
	"fmt"
	"strings"

	"handoff/metrics"
)

// ErrMismatch: what would go out does not hold the key that came in. It must not be sent.
var ErrMismatch = errors.New("what would be sent does not hold the key that came in")

// UnfitReason is why a method can't carry a request. It is an error of its own, for errors.Is.
type UnfitReason uint8

const (
	// UnfitTooLong: longer than Twilio takes, and nothing is left that may be dropped. It is never cut.
	UnfitTooLong UnfitReason = iota
	// UnfitStudio: a " or \ in the key would break the JSON that Studio's template makes of it.
	UnfitStudio
	// UnfitForm: the key holds a character that the User-to-User handler loses.
	UnfitForm
	// UnfitTarget: a tel URI has no headers, and a target that is passed on is reached by refer alone.
	UnfitTarget
	// UnfitText: a blank at the key's end, or a character that XML has not.
	UnfitText
	// UnfitNotConfigured: neither Studio nor a workflow is known.
	UnfitNotConfigured
)

var unfitReasons = []string{"too_long", "studio", "form", "target", "text", "not_configured"}

func (u UnfitReason) String() string { return word(unfitReasons, uint8(u)) }
func (u UnfitReason) Error() string  { return u.String() }

// UnfitReasons lists the vocabulary.
func UnfitReasons() []UnfitReason { return list[UnfitReason](len(unfitReasons)) }

// Unfit is why a method can't carry a request. It never quotes the key.
type Unfit struct {
	Method metrics.Method
	Why    UnfitReason
	Text   string
}

func (u *Unfit) Error() string { return fmt.Sprintf("method %v does not fit: %s", u.Method, u.Text) }

// Unwrap returns the reason.
func (u *Unfit) Unwrap() error { return u.Why }

// Limits is what Twilio is known to take, and how this edge talks to it. Zero lengths mean Twilio's.
type Limits struct {
	Form    HeaderForm
	ReferTo int // characters of a Refer-To value; 256
	Header  int // bytes of a header value on an INVITE; 1024
	REST    REST
}

const (
	maxReferTo = 256
	maxHeader  = 1024
)

// Fits predicts whether a method can carry this request as Twilio and the agent's side are known to
// be. The error is an *Unfit, or ErrMismatch.
func (r Request) Fits(method metrics.Method, limits Limits) error {
	switch method {
	case metrics.MethodRefer:
		limit := limits.ReferTo
		if limit == 0 {
			limit = maxReferTo
		}
		_, _, err := r.ReferTo(limits.Form, limit)
		return err
	case metrics.MethodREST:
		_, err := r.TwiML(limits.REST)
		return err
	case metrics.MethodInvite:
		return r.fitsInvite(limits.Header)
	}
	return &Unfit{method, UnfitTarget, "no such method"}
}

func (r Request) fitsInvite(limit int) error {
	if limit == 0 {
		limit = maxHeader
	}
	key := r.Key.Reveal()
	switch {
	case !r.Intercepted:
		return notCarriedOut(metrics.MethodInvite)
	case len(key) > limit:
		return &Unfit{metrics.MethodInvite, UnfitTooLong, fmt.Sprintf("key of %d bytes, limit %d", len(key), limit)}
	case strings.Trim(key, " ") != key:
		return &Unfit{metrics.MethodInvite, UnfitText, "a header value can't begin or end with a blank"}
	}
	return nil
}

func notCarriedOut(m metrics.Method) *Unfit {
	return &Unfit{m, UnfitTarget, "the target is not intercepted"}
}

// studioSafe tells that the key survives the flow's attributes template,
// { "sessionHistoryKey":"{{…}}" }, which escapes nothing. Control characters never come so far.
func studioSafe(key Key) bool { return !strings.ContainsAny(key.Reveal(), `"\`) }

func notStudioSafe(m metrics.Method) *Unfit {
	return &Unfit{m, UnfitStudio, `a " or \ in the key would break the flow's task attributes`}
}
