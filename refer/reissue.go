package refer

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"handoff/metrics"
	"handoff/sip/uri"
)

// HeaderForm is the header in which Twilio's refer handler looks for the key.
type HeaderForm uint8

const (
	// FormXWatson: ?X-Watson-Assistant-Session-History-Key=KEY, read by the seed's handler.
	FormXWatson HeaderForm = iota
	// FormUserToUser: ?User-to-User=KEY%3Bencoding%3Dascii, read by the vendor's current handler.
	FormUserToUser
)

var forms = []string{"x-watson", "user-to-user"}

func (f HeaderForm) String() string { return word(forms, uint8(f)) }

// HeaderForms lists the vocabulary.
func HeaderForms() []HeaderForm { return list[HeaderForm](len(forms)) }

// ParseHeaderForm reads the word of a form.
func ParseHeaderForm(text string) (HeaderForm, error) {
	for _, f := range HeaderForms() {
		if f.String() == text {
			return f, nil
		}
	}
	return 0, fmt.Errorf("header form %q: want %s", text, strings.Join(forms, " or "))
}

// ReferTo returns the header value for Twilio, of at most limit characters:
//
//	<sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=dev::latest::…>
//
// and the names of the headers that were dropped for want of room: first User-to-User, then Watson's
// token, then the other context, the last first. The key is never dropped and never cut. Nothing
// stands behind the ">", and the scheme of an intercepted target is always sip: the handler takes all
// between the first "?" and the end, and Twilio knows no sips. The error is an *Unfit or ErrMismatch.
func (r Request) ReferTo(form HeaderForm, limit int) (value string, dropped []string, err error) {
	headers, dropped, err := r.inURI(form)
	if err != nil {
		return "", nil, err
	}
	to := r.target()
	for {
		to.Headers = escaped(headers)
		value = "<" + to.String() + ">"
		if len(value) <= limit {
			break
		}
		i := leastNeeded(headers, r.Key)
		if i < 0 {
			return "", nil, &Unfit{metrics.MethodRefer, UnfitTooLong, fmt.Sprintf("refer-to of %d characters, limit %d", len(value), limit)}
		}
		dropped = append(dropped, headers[i].Name)
		headers = append(headers[:i:i], headers[i+1:]...)
	}
	if r.Target.Opaque == "" && !holds(value, form, r.Key) && (r.Intercepted || !r.Key.Empty()) {
		return "", nil, ErrMismatch
	}
	return value, dropped, nil
}

// target is the URI without headers as Twilio gets it.
func (r Request) target() uri.URI {
	u := r.Target
	if u.Opaque != "" {
		return u
	}
	u.Headers = nil
	u.User = strings.ReplaceAll(u.User, "?", "%3F") // legal, but the handler splits there
	if r.Intercepted {
		u.Scheme, u.Params = "sip", nil
	}
	return u
}

// inURI returns the headers that belong into the Refer-To, the key's first, and the names of those
// that can't stand there in any length.
func (r Request) inURI(form HeaderForm) (headers []Header, dropped []string, err error) {
	key := r.Key.Reveal()
	switch {
	case r.Target.Opaque != "" && r.Intercepted && !r.Key.Empty():
		return nil, nil, &Unfit{metrics.MethodRefer, UnfitTarget, "a tel URI can't carry headers"}
	case r.Target.Opaque != "":
		// Whoever answers that number reads no headers.
		if !r.Key.Empty() {
			dropped = append(dropped, KeyHeader)
		}
		return nil, append(dropped, names(r.Context)...), nil
	case r.Key.Empty() && r.Intercepted:
		// With any header at all, but not the key, the handler hands the agent the key "undefined".
		return nil, names(r.Context), nil
	case r.Key.Empty():
		return r.Context, nil, nil
	case form == FormUserToUser && strings.Trim(key, safe) != "":
		return nil, nil, &Unfit{metrics.MethodRefer, UnfitForm, "the handler of user-to-user writes the key as it is into a URL, up to the first semicolon"}
	case !studioSafe(r.Key):
		return nil, nil, notStudioSafe(metrics.MethodRefer)
	case form == FormUserToUser:
		headers = []Header{{UserToUser, key + ";encoding=ascii"}}
	default:
		headers = []Header{{KeyHeader, key}}
	}
	for _, h := range r.Context {
		if h.is(headers[0].Name) {
			dropped = append(dropped, h.Name) // the key has its place
		} else {
			headers = append(headers, h)
		}
	}
	return headers, dropped, nil
}

// leastNeeded returns the index of the header that goes next when room is short, -1 for none.
func leastNeeded(headers []Header, key Key) int {
	first := 0
	if !key.Empty() {
		first = 1 // the key's own stands first
	}
	last := -1
	token := -1
	for i := first; i < len(headers); i++ {
		switch {
		case headers[i].is(UserToUser):
			return i
		case headers[i].is(tokenHeader):
			token = i
		default:
			last = i
		}
	}
	if token >= 0 {
		return token
	}
	return last
}

func escaped(headers []Header) []uri.Header {
	var all []uri.Header
	for _, h := range headers {
		all = append(all, uri.Header{Name: uri.Escape(h.Name, isSafe), Value: uri.Escape(h.Value, isSafe)})
	}
	return all
}

func names(headers []Header) []string {
	var all []string
	for _, h := range headers {
		all = append(all, h.Name)
	}
	return all
}

// safe names what may stand raw on the whole way to the agent: through the refer handlers, which
// split at ? & = > and ;, and Studio's query, where + is a blank. ":" is raw because a usual key
// would not fit into 256 characters otherwise.
const safe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~:"

func isSafe(c byte) bool { return strings.IndexByte(safe, c) >= 0 }

// holds reads the text as the far side will and compares hashes. On purpose it shares nothing with
// the code that wrote the text.
func holds(text string, form HeaderForm, key Key) bool {
	read := SeedReads
	if form == FormUserToUser {
		read = UserToUserReads
	}
	got, err := read(text)
	return err == nil && sha256.Sum256([]byte(got)) == sha256.Sum256([]byte(key.Reveal()))
}
