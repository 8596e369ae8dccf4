package trunk

import (
	"slices"
	"strings"

	"handoff/sip/uri"
)

// identity is a header whose values are name-addrs of people. They cross with the number and the name, at
// the edge's host, and with parameters that are known to tell no address.
type identity struct {
	// caller tells that it is about who calls: it is withheld where his number is.
	caller bool
	params []string
}

// identities are those that the edge can rewrite, by lower-case name.
var identities = map[string]identity{
	"p-asserted-identity":  {caller: true},                                                                  // RFC 3325 §9.1
	"p-preferred-identity": {caller: true},                                                                  // RFC 3325 §9.2
	"remote-party-id":      {caller: true, params: []string{"party", "id-type", "np", "privacy", "screen"}}, // draft-ietf-sip-privacy-04
	"p-called-party-id":    {},                                                                              // RFC 7315 §4.2
	"diversion":            {params: []string{"reason", "counter", "limit", "privacy", "screen"}},           // RFC 5806 §4
}

// rewrite returns the values of an identity header as Watson may have them; those that are private are
// left out.
func (c Config) rewrite(kind identity, value string, caller Caller) ([]string, error) {
	if kind.caller && c.ToWatson.hides(caller) {
		return nil, nil
	}
	list, err := uri.ParseNameAddrList(value)
	if err != nil {
		return nil, errUnreadable
	}
	var values []string
	for _, n := range list {
		name, number := c.ToWatson.withheld(n)
		if number || anonymous(n.URI) {
			continue
		}
		ours := uri.NameAddr{Params: harmless(n.Params, kind.params)}
		if !name && !c.ToWatson.HideName {
			ours.Display = displayed(n.Display)
		}
		var ok bool
		if ours.URI, ok = c.ours(n.URI); !ok {
			return nil, errUnreadable
		}
		values = append(values, ours.String())
	}
	return values, nil
}

// withheld reads the privacy parameter of Diversion (RFC 5806 §4) and Remote-Party-ID: what of a value
// does not go on. One that is not known asks for all.
func (p CallerPolicy) withheld(n uri.NameAddr) (name, number bool) {
	asked, _ := n.Param("privacy")
	switch asked = strings.ToLower(strings.Trim(asked, `"`)); {
	case asked == "", asked == "off", p.IgnorePrivacy:
		return false, false
	case asked == "name":
		return true, false
	}
	return true, true
}

// ours is the same person at the edge's host. A global tel: URI has no host and stays one; a local
// number would need a phone-context, which is a network's (RFC 3966 §5.1.4), and so gets our host too.
func (c Config) ours(u uri.URI) (uri.URI, bool) {
	user := subscriber(u)
	if user == "" {
		return uri.URI{}, false
	}
	switch {
	case u.Scheme == "tel" && user[0] == '+':
		return uri.URI{Scheme: "tel", Opaque: user}, true
	case u.Scheme == "sips":
		return uri.URI{Scheme: "sips", User: user, Host: c.Public}, true
	}
	return uri.URI{Scheme: "sip", User: user, Host: c.Public}, true
}

// harmless keeps the parameters of the given names whose values are words or numbers.
func harmless(params []uri.Param, names []string) []uri.Param {
	var kept []uri.Param
	for _, p := range params {
		if slices.Contains(names, strings.ToLower(p.Name)) && p.Value != "" && len(p.Value) <= 32 && isWord(p.Value) {
			kept = append(kept, p)
		}
	}
	return kept
}

// isWord tells text in which no address can hide: letters, digits and hyphens.
func isWord(s string) bool {
	return strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
