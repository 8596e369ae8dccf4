package refer

import (
	"net/netip"
	"strings"

	"handoff/sip/uri"
)

// target is the URI that the caller is to be handed to.
type target struct {
	whole      uri.URI // without headers, everything else as written
	raw        []uri.Header
	params     []uri.Param // that may hold context: only a tel URI's
	plain      bool        // nothing in it says another destination or another deed than user and host, or number
	user, host string
	port       uint16 // 0 for a default port
	number     string // of a tel URI, without visual separators
}

// newTarget takes the URI apart and refuses one that shows one reader another destination than it
// shows the next. What is merely wrong for us is for the patterns.
func newTarget(to uri.NameAddr) (target, error) {
	switch u := to.URI; u.Scheme {
	case "sip", "sips":
		return newSIPTarget(u)
	case "tel":
		return newTelTarget(u.Opaque, to.Params)
	}
	return target{}, declined(CauseTarget, "target is neither sip nor tel")
}

func newSIPTarget(u uri.URI) (target, error) {
	user, err := uri.Unescape(u.User)
	if err != nil || hasControl(user) {
		return target{}, malformed(CauseControl, "a control character in the target's user part")
	}
	_, maddr := u.Param("maddr")
	switch {
	case u.Password != "":
		return target{}, declined(CauseDisguise, "a password in the target")
	case maddr: // sends the request to another host than the one that is read
		return target{}, declined(CauseDisguise, "a maddr parameter in the target")
	case strings.Contains(user, "@"):
		return target{}, declined(CauseDisguise, "an @ in the target's user part")
	case isEmbedded(u.Host):
		return target{}, declined(CauseDisguise, "an IPv4 address inside the target's IPv6 address")
	}
	method, hasMethod := u.Param("method")
	t := target{whole: u, raw: u.Headers, plain: !hasMethod || method == "INVITE", user: user, host: u.Host, port: effectivePort(u)}
	t.whole.Headers = nil
	return t, nil
}

var errTelParam = malformed(CauseSyntax, "a bad parameter in the tel target")

// newTelTarget reads "number;params" (RFC 3966). Deviation: the grammar knows no headers there, but
// a "?" with headers can't mean anything else, and to pass over it would lose the key. Without
// brackets the parameters have become those of the header.
func newTelTarget(opaque string, params []uri.Param) (target, error) {
	text, query, hasQuery := strings.Cut(opaque, "?")
	number, rest, hasParams := strings.Cut(text, ";")
	// The grammar of SIP URI parameters and headers is borrowed.
	var own []uri.Param
	if hasParams {
		u, err := uri.Parse("sip:h;" + rest)
		if err != nil {
			return target{}, errTelParam
		}
		own = u.Params
	}
	t := target{plain: true, params: append(own[:len(own):len(own)], params...)}
	if hasQuery {
		u, err := uri.Parse("sip:h?" + query)
		if err != nil {
			return target{}, malformed(CauseSyntax, "a bad header in the tel target")
		}
		t.raw = u.Headers
	}
	if t.number = bareNumber(number); t.number == "" {
		return target{}, malformed(CauseSyntax, "no number in the tel target")
	}
	t.whole = uri.URI{Scheme: "tel", Opaque: number}
	for i, p := range t.params {
		name := strings.ToLower(p.Name)
		another := name == "ext" || name == "isub" || name == "phone-context"
		t.plain = t.plain && !another
		if kindOf(name) == kindContext || i >= len(own) && !another {
			continue
		}
		text := ";" + p.Name
		if p.HasValue {
			text += "=" + p.Value
		}
		if _, err := uri.Parse("sip:h" + text); err != nil {
			return target{}, errTelParam // a header's parameter may hold what a URI's may not
		}
		t.whole.Opaque += text
	}
	return t, nil
}

// kept is what remains of an intercepted target.
func (t target) kept() uri.URI {
	if t.number != "" {
		return uri.URI{Scheme: "tel", Opaque: t.number}
	}
	return uri.URI{Scheme: t.whole.Scheme, User: t.whole.User, Host: t.whole.Host, Port: t.whole.Port}
}

// headers returns the URI's headers, decoded, and the context among a tel URI's parameters: an older
// product of the family writes tel:+1888;User-to-User=….
func (t target) headers() ([]Header, error) {
	raw := t.raw
	for _, p := range t.params {
		if kindOf(p.Name) == kindContext {
			raw = append(raw[:len(raw):len(raw)], uri.Header{Name: p.Name, Value: p.Value})
		}
	}
	return decodeURIHeaders(raw)
}

// bareNumber drops the visual separators; "" when it is no number.
func bareNumber(s string) string {
	number := strings.NewReplacer("-", "", ".", "", "(", "", ")", "").Replace(s)
	digits := strings.TrimPrefix(number, "+")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	return number
}

// embedded are the IPv6 ranges that stand for IPv4 addresses, and the unspecified and loopback ones
// (RFC 4291 §2.5, RFC 6052): allow-lists of IPv4 addresses do not see through them.
var embedded = []netip.Prefix{
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("::ffff:0:0/96"),
	netip.MustParsePrefix("64:ff9b::/96"),
}

func isEmbedded(host string) bool {
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil || !address.Is6() {
		return false
	}
	for _, prefix := range embedded {
		if prefix.Contains(address) || address.Is4In6() {
			return true
		}
	}
	return false
}

func effectivePort(u uri.URI) uint16 {
	if u.Port == 5060 && !u.Secure() || u.Port == 5061 && u.Secure() {
		return 0
	}
	return u.Port
}
