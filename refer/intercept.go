package refer

import (
	"fmt"
	"strings"

	"handoff/sip/uri"
)

// Policy says which targets the edge carries out and what becomes of the others.
type Policy struct {
	// Pass lets method refer hand on a target that is not intercepted, as it is; else it is declined.
	Pass bool
	// Replaces lets a Replaces header go on in the Refer-To (RFC 3891); else the request is declined,
	// because an attended transfer without it would be another deed.
	Replaces bool

	patterns []pattern
}

// pattern is one entry of transfer.intercept.
type pattern struct {
	tel              bool
	anyUser, anyHost bool   // of a tel pattern anyUser is any number
	user, host       string // of a tel pattern user is the number
	port             uint16 // 0: the default ports, with any host all ports
}

// NewPolicy reads the entries of transfer.intercept: "sip:queue@flex.twilio.com", where * may stand
// for the whole user or the whole host part; "*" for every sip target; "tel:+18883334444" or "tel:*".
func NewPolicy(intercept []string) (Policy, error) {
	var p Policy
	for _, text := range intercept {
		pat, err := parsePattern(text)
		if err != nil {
			return Policy{}, fmt.Errorf("transfer.intercept %q: %w", text, err)
		}
		p.patterns = append(p.patterns, pat)
	}
	return p, nil
}

func (p Policy) intercepts(t target) bool {
	for _, pat := range p.patterns {
		if pat.matches(t) {
			return true
		}
	}
	return false
}

func parsePattern(text string) (pattern, error) {
	if text == "*" {
		return pattern{anyUser: true, anyHost: true}, nil
	}
	address, anyHost := strings.CutSuffix(text, "@*")
	if anyHost {
		address += "@any"
	}
	u, err := uri.Parse(address)
	if err != nil {
		return pattern{}, err
	}
	if u.Scheme == "tel" {
		return parseTelPattern(u.Opaque)
	}
	if u.Opaque != "" || u.Password != "" || u.Params != nil || u.Headers != nil {
		return pattern{}, fmt.Errorf("want sip:USER@HOST and nothing more")
	}
	if strings.Contains(u.User, "*") && u.User != "*" {
		return pattern{}, fmt.Errorf("a * stands for the whole user part (a literal one is %%2A)")
	}
	user, err := uri.Unescape(u.User)
	if err != nil {
		return pattern{}, err
	}
	return pattern{anyUser: u.User == "*", anyHost: anyHost, user: user, host: u.Host, port: effectivePort(u)}, nil
}

func parseTelPattern(number string) (pattern, error) {
	if number == "*" {
		return pattern{tel: true, anyUser: true}, nil
	}
	bare := bareNumber(number)
	if bare == "" {
		return pattern{}, fmt.Errorf("want tel:NUMBER and nothing more")
	}
	return pattern{tel: true, user: bare}, nil
}

// matches compares the user exactly, after unescaping, and the host in lower case; of a number the
// digits. sip and sips are the same here: Twilio knows no sips and is always given sip.
func (p pattern) matches(t target) bool {
	if p.tel || t.number != "" {
		return p.tel && t.number != "" && t.plain && (p.anyUser || p.user == t.number)
	}
	return t.plain &&
		(p.anyUser || p.user == t.user) &&
		(p.anyHost || p.host == t.host && p.port == t.port)
}
