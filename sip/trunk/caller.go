package trunk

import (
	"cmp"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"handoff/sip/uri"
)

// Caller is what leg A's INVITE says of who calls.
type Caller struct {
	From uri.NameAddr
	// Headers are all of the INVITE's, name by value.
	Headers [][2]string
}

// CallerPolicy is what the callee of a leg learns of him. The zero value lets number and name pass, and
// does as he asks where he wants to be private.
type CallerPolicy struct {
	HideNumber, HideName bool
	// Number stands in the place of every caller's; "" does not.
	Number string
	// IgnorePrivacy takes the callee into the trust domain of RFC 3325 §2.4: it learns of private callers
	// what it learns of others.
	IgnorePrivacy bool
}

// Introduction is what a leg that the edge dials says of the caller.
type Introduction struct {
	// From is the addr-spec, and Name the display name, unquoted, "" for none.
	From uri.URI
	Name string
	// Headers go to Watson alone, name by value. Held tells, without a value, which were to go and could not.
	Headers [][2]string
	Held    []string
}

// IntroduceToWatson introduces the caller to Watson.
func (c Config) IntroduceToWatson(caller Caller) Introduction {
	i := c.introduce(caller, c.ToWatson)
	i.From.Scheme = "sips"
	i.Headers, i.Held = c.cross(caller)
	return i
}

// IntroduceToAgent introduces him to a Twilio SIP domain. Twilio knows no sips:.
func (c Config) IntroduceToAgent(caller Caller) Introduction { return c.introduce(caller, c.ToAgent) }

func (c Config) introduce(caller Caller, p CallerPolicy) Introduction {
	number, hidden := p.Number, p.hides(caller)
	if !hidden {
		number = subscriber(caller.From.URI)
	}
	name := ""
	if !p.HideName && (p.IgnorePrivacy || !caller.private()) {
		name = caller.name()
	}
	if hidden && digits(name) >= 4 {
		name = "" // it may tell the number that is not shown
	}
	if number == "" { // RFC 3323 §4.1.1.3
		return Introduction{From: uri.URI{Scheme: "sip", User: "anonymous", Host: "anonymous.invalid"}, Name: cmp.Or(name, "Anonymous")}
	}
	return Introduction{From: uri.URI{Scheme: "sip", User: number, Host: c.Public}, Name: name}
}

// hides tells whether a caller's own number is not for the callee.
func (p CallerPolicy) hides(caller Caller) bool {
	return p.HideNumber || p.Number != "" || !p.IgnorePrivacy && caller.private()
}

// private tells a caller who does not want to be known: one who is anonymous already, or whose network
// says so (RFC 3323 §4.2, RFC 3325 §9.3). Every word asks for it but none, one that is not known too.
func (c Caller) private() bool {
	if anonymous(c.From.URI) {
		return true
	}
	for _, h := range c.Headers {
		if !strings.EqualFold(h[0], "Privacy") {
			continue
		}
		for _, word := range strings.FieldsFunc(h[1], func(r rune) bool { return strings.ContainsRune("; ,\t", r) }) {
			if !strings.EqualFold(word, "none") {
				return true
			}
		}
	}
	return false
}

// anonymous tells a URI that names nobody.
func anonymous(u uri.URI) bool {
	return strings.EqualFold(u.User, "anonymous") || u.Host == "invalid" || strings.HasSuffix(u.Host, ".invalid")
}

// name is the caller's: From's, else that of P-Asserted-Identity. Twilio puts the number there when it
// knows no name, which is none then.
func (c Caller) name() string {
	name := displayed(c.From.Display)
	for _, h := range c.Headers {
		if name == "" && strings.EqualFold(h[0], "P-Asserted-Identity") {
			if list, err := uri.ParseNameAddrList(h[1]); err == nil {
				name = displayed(list[0].Display)
			}
		}
	}
	if anonymous(c.From.URI) || !strings.ContainsFunc(name, unicode.IsLetter) {
		return ""
	}
	return name
}

// maxName bounds a display name, in bytes.
const maxName = 100

// displayed is a display name as it may go on: what a screen can't show is no name.
func displayed(name string) string {
	name = strings.Trim(name, " \t")
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	for len(name) > maxName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

// digits counts those of a name.
func digits(name string) (n int) {
	for _, r := range name {
		if unicode.IsDigit(r) {
			n++
		}
	}
	return n
}

// subscriber is the number or the name in a URI's user part, without parameters: a phone-context names a
// network (RFC 3966 §5.1.5). "" where there is none, or where it is an address.
func subscriber(u uri.URI) string {
	if anonymous(u) {
		return ""
	}
	user, _, _ := strings.Cut(User(u), ";")
	plain, err := uri.Unescape(user)
	if err != nil || len(user) > MaxNumber || strings.ContainsAny(plain, "@:") {
		return ""
	}
	if _, err := netip.ParseAddr(strings.TrimLeft(plain, "+")); err == nil {
		return "" // Twilio was seen with +172.25.16.223
	}
	return user
}
