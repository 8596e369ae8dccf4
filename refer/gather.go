package refer

import (
	"errors"
	"strings"

	"handoff/sip/uri"
)

// finding is a header and where it stood.
type finding struct {
	Header
	place Place
}

func (f finding) source() Source { return Source{Place: f.place, Name: f.Name} }

// gather collects the headers of all places. Of the request's own headers only the context is looked
// at: the others are the message's.
func gather(ask Ask, t target) ([]finding, error) {
	var found []finding
	add := func(place Place, headers []Header) {
		for _, h := range headers {
			found = append(found, finding{h, place})
		}
	}
	headers, err := t.headers()
	if err != nil {
		return nil, err
	}
	add(PlaceTarget, headers)
	for _, h := range ask.Headers {
		if k := kindOf(h.Name); k != kindContext && k != kindReserved {
			continue
		}
		h.Value = strings.Trim(h.Value, " \t")
		if !isToken(h.Name) || hasControl(h.Value) {
			return nil, malformed(CauseControl, "a control character in a header")
		}
		add(PlaceRequest, []Header{h})
	}
	headers, err = contactHeaders(ask.Contact)
	if err != nil {
		return nil, err
	}
	add(PlaceContact, headers)
	return found, nil
}

// contactHeaders reads the URI headers of a Contact. One without any is the dialog's business alone,
// however odd it looks.
func contactHeaders(contact string) ([]Header, error) {
	if !strings.Contains(contact, "?") {
		return nil, nil
	}
	n, err := uri.ParseNameAddr(contact)
	if err != nil {
		return nil, malformed(CauseSyntax, "Contact: "+err.Error())
	}
	return decodeURIHeaders(n.URI.Headers)
}

// sort finds the key and divides the rest into what goes along and what does not. A header with an
// empty value is none.
func (r *Request) sort(found []finding, policy Policy) error {
	var context, uui []finding
	for _, f := range found {
		why, drop := f.dropped()
		switch k := kindOf(f.Name); {
		case f.Value == "":
		case k == kindReplaces && f.place == PlaceTarget && !policy.Replaces:
			return declined(CauseReplaces, "a Replaces header in the target")
		case k == kindReplaces && f.place == PlaceTarget:
			context = append(context, f)
		case drop:
			r.Dropped = append(r.Dropped, Dropped{f.source(), why})
		case f.is(UserToUser):
			uui = append(uui, f)
		default:
			context = append(context, f)
		}
	}
	for _, f := range context {
		if err := r.take(f); err != nil {
			return err
		}
	}
	return r.takeUserToUser(uui)
}

// dropped tells whether and why a header does not go on. A key is never dropped: it is refused.
func (f finding) dropped() (DropReason, bool) {
	switch kindOf(f.Name) {
	case kindDangerous, kindReplaces:
		return DropDangerous, true
	case kindReserved:
		return DropReserved, true
	case kindForeign:
		return DropForeign, true
	}
	if f.is(KeyHeader) || f.is(UserToUser) {
		return 0, false
	}
	_, err := NewKey(f.Value)
	switch {
	case errors.Is(err, errKeyLong):
		return DropLong, true
	case err != nil:
		return DropText, true
	}
	return 0, false
}

// take keeps the key or a context header. The same value twice counts once; two values are refused,
// since any choice could be the wrong one.
func (r *Request) take(f finding) error {
	if f.is(KeyHeader) {
		if !r.Key.Empty() && r.Key.Reveal() != f.Value {
			return conflict()
		}
		if !r.Key.Empty() {
			return nil
		}
		return r.setKey(f.Value, f.source())
	}
	if earlier, found := find(r.Context, f.Name); found {
		if earlier != f.Value {
			return conflict()
		}
		return nil
	}
	r.Context = append(r.Context, f.Header)
	return nil
}

func (r *Request) setKey(text string, from Source) error {
	key, err := NewKey(text)
	switch {
	case errors.Is(err, errKeyLong):
		return malformed(CauseKeyLength, err.Error())
	case errors.Is(err, errKeyControl):
		return malformed(CauseControl, err.Error())
	case err != nil:
		return malformed(CauseKeyText, err.Error())
	}
	r.Key, r.KeyFrom = key, from
	return nil
}

func conflict() *Refusal { return malformed(CauseConflict, "two different values of one header") }
