package refer

import (
	"fmt"
	"strings"

	"handoff/sip/uri"
)

// Policy says which targets of a REFER the edge carries out.
type Policy struct {
	patterns []pattern
}

// pattern is one entry of transfer.intercept.
type pattern struct {
	anyUser, anyHost bool
	user, host       string
	port             uint16 // 0: the default ports, with any host all ports
}

// target is a Refer-To's URI as the patterns see it.
type target struct {
	plain      bool // nothing in it says another destination or another deed than user and host
	user, host string
	port       uint16 // 0 for a default port
}

// NewPolicy reads the entries of transfer.intercept: "sip:queue@flex.twilio.com", where * may stand
// for the whole user or the whole host part, or "*" for every sip target.
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

// newTarget refuses a user part that no peer could read; everything else is for the patterns.
func newTarget(u uri.URI) (target, error) {
	user, err := uri.Unescape(u.User)
	if err != nil || hasControl(user) {
		return target{}, malformed("a control character in the target's user part")
	}
	_, maddr := u.Param("maddr") // sends the request to another host than the one that is read
	method, hasMethod := u.Param("method")
	return target{
		plain: u.Opaque == "" && u.Password == "" && !maddr && (!hasMethod || method == "INVITE"),
		user:  user, host: u.Host, port: effectivePort(u),
	}, nil
}

// matches compares the user exactly, after unescaping, and the host in lower case. sip and sips are
// the same here: Twilio knows no sips and is always given sip.
func (p pattern) matches(t target) bool {
	return t.plain &&
		(p.anyUser || p.user == t.user) &&
		(p.anyHost || p.host == t.host && p.port == t.port)
}

func effectivePort(u uri.URI) uint16 {
	if u.Port == 5060 && !u.Secure() || u.Port == 5061 && u.Secure() {
		return 0
	}
	return u.Port
}
