package trunk

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"handoff/sip/uri"
)

// Redirect tells where a 3xx of Watson's leads (RFC 3261 §8.1.3.4): the sips: URIs of its Contacts at hosts that are configured, the best
// first, and the hosts of all the others. A call follows a configured host only: whoever can forge or misconfigure a Contact could
// else send callers, and Watson's credentials, anywhere.
//
// A 305 names a proxy to pass through and a 380 another service, described in its body; the edge knows neither. Any other 3xx is
// a 300 (RFC 3261 §8.1.3.2).
func (c Config) Redirect(code int, contacts []uri.NameAddr) (follow []uri.URI, strangers []string) {
	contacts = slices.Clone(contacts)
	slices.SortStableFunc(contacts, func(a, b uri.NameAddr) int { return quality(b) - quality(a) })
	for _, contact := range contacts {
		u := contact.URI
		if code == 305 || code == 380 || !u.Secure() || !c.redirectsTo(u.Host) {
			strangers = append(strangers, u.Host)
			continue
		}
		// Headers would be ours then; a password was asked for by nobody.
		u.Headers, u.Password = nil, ""
		u.Params = slices.DeleteFunc(slices.Clone(u.Params), func(p uri.Param) bool {
			return slices.Contains(misleading[:], strings.ToLower(p.Name))
		})
		follow = append(follow, u)
	}
	return follow, strangers
}

// Redirects tells whether a response sends the call elsewhere (RFC 3261 §21.3).
func Redirects(code int) bool { return code/100 == 3 }

// misleading lists, in lower case, URI parameters that lead elsewhere than the host says, in another way than over TLS, or that speak
// of another request than ours (RFC 3261 §19.1.1).
var misleading = [...]string{"maddr", "transport", "ttl", "method", "lr", "comp", "sigcomp-id"}

// quality is a Contact's q in thousandths (RFC 3261 §25.1): 1 without one, 0 when it can't be read.
func quality(contact uri.NameAddr) int {
	text, there := contact.Param("q")
	if !there {
		return 1000
	}
	q, err := strconv.ParseFloat(text, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 0
	}
	return int(q * 1000)
}

func (c Config) redirectsTo(host string) bool {
	for _, t := range c.Targets {
		if sameHost(t.Host, host) {
			return true
		}
	}
	return slices.ContainsFunc(c.RedirectHosts, func(known string) bool { return sameHost(known, host) })
}

// TargetAt returns the index of the target that is at a URI's host and port, -1 for none.
func (c Config) TargetAt(u uri.URI) int {
	return slices.IndexFunc(c.Targets, func(t uri.URI) bool { return sameHost(t.Host, u.Host) && t.Port == u.Port })
}

// sameHost compares names in any letter case and addresses in any form.
func sameHost(a, b string) bool {
	x, err := netip.ParseAddr(strings.Trim(a, "[]"))
	if err != nil {
		return strings.EqualFold(a, b)
	}
	y, err := netip.ParseAddr(strings.Trim(b, "[]"))
	return err == nil && x == y
}
