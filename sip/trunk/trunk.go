// Package trunk knows the two vendors: who may speak for them, what kind of caller an INVITE is,
// where calls go, what the callee learns of the caller, which headers cross and which code the caller
// hears.
//
// Everything here is pure: functions of the configuration and the message, safe for any goroutine.
// It opens no socket and keeps no state.
//
// Implemented: RFC 3323 §4.1.1.3 and §4.2 (the anonymous, Privacy), RFC 3325 §7 and §9 (P-Asserted-Identity
// toward a peer that is trusted or not), RFC 5806 §4 (Diversion).
package trunk

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"handoff/metrics"
	"handoff/sip/uri"
)

// Kind is what Twilio product a leg A comes from.
type Kind string

const (
	// PV is Programmable Voice, <Dial><Sip>: a REFER reaches the referUrl webhook.
	PV Kind = "pv"
	// Elastic is an Elastic SIP Trunk: Twilio itself dials what a REFER names.
	Elastic Kind = "trunk"
)

// Config is data.
type Config struct {
	// Public is the name or address of the edge in the URIs that it writes, IPv6 in brackets.
	Public string
	// TwilioSources and WatsonSources tell who may speak.
	TwilioSources, WatsonSources []netip.Prefix
	// Force overrides what the From host says; "" does not.
	Force Kind
	// ReferenceNames are accepted in the certificate of a redialled Twilio flow; empty derives them.
	ReferenceNames []string
	// Targets are Watson's sips: URIs in the order of preference.
	Targets []uri.URI
	// RedirectHosts are hosts beside those of the targets to which Watson may redirect a call, IPv6 in brackets.
	RedirectHosts []string
	// Number overrides the dialled number; "" does not.
	Number string
	// WatsonNames are accepted in Watson's certificate; empty: the target's host.
	WatsonNames []string
	// Headers of the caller's INVITE go to Watson.
	Headers Headers
	// ToWatson and ToAgent are what legs B and C learn of the caller.
	ToWatson, ToAgent CallerPolicy
	// Clear lets targets be sip: URIs, so that a measurement can leave TLS out. No configuration sets it.
	Clear bool
}

// Validate tells what is wrong.
func (c Config) Validate() error {
	if c.Public == "" {
		return errors.New("no public name")
	}
	if len(c.Targets) == 0 {
		return errors.New("no Watson target")
	}
	for _, t := range c.Targets {
		if !t.Secure() && !c.Clear {
			return fmt.Errorf("target %s is no sips: URI", t)
		}
	}
	return nil
}

// Peer tells for whom an address may speak. One on both lists speaks for Twilio: only Twilio calls.
func (c Config) Peer(addr netip.Addr) metrics.Peer {
	switch {
	case c.Speaks(addr, metrics.PeerTwilio):
		return metrics.PeerTwilio
	case c.Speaks(addr, metrics.PeerWatson):
		return metrics.PeerWatson
	}
	return metrics.PeerUnknown
}

// Speaks tells whether addr is on the peer's source list.
func (c Config) Speaks(addr netip.Addr, peer metrics.Peer) bool {
	switch peer {
	case metrics.PeerTwilio:
		return contains(c.TwilioSources, addr)
	case metrics.PeerWatson:
		return contains(c.WatsonSources, addr)
	}
	return false
}

func contains(list []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// trunkDomain is where the From of an Elastic SIP Trunk lives.
const trunkDomain = ".pstn.twilio.com"

// Kind tells what leg A is by the host of its From.
func (c Config) Kind(from uri.URI) Kind {
	switch {
	case c.Force != "":
		return c.Force
	case strings.HasSuffix(from.Host, trunkDomain):
		return Elastic
	}
	return PV
}

// TwilioNames returns the names of which a redialled leg A connection must show one: Route names an
// address, and Twilio's certificates hold no addresses.
func (c Config) TwilioNames(from uri.URI) []string {
	if len(c.ReferenceNames) > 0 {
		return c.ReferenceNames
	}
	names := []string{"sip.twilio.com"}
	if strings.HasSuffix(from.Host, ".twilio.com") && from.Host != names[0] {
		names = append([]string{from.Host}, names...)
	}
	return names
}

// Dial returns the Request-URI for a target: its own user part, else the configured number, else
// the dialled one.
func (c Config) Dial(target uri.URI, dialled string) uri.URI {
	if target.User == "" {
		target.User = dialled
		if c.Number != "" {
			target.User = c.Number
		}
	}
	return target
}

// MaxNumber bounds what is dialled and who calls, in bytes: they stand in several lines of what the edge sends.
const MaxNumber = 256

// User returns the number or name that a SIP or tel URI is about, "" if there is none.
func User(u uri.URI) string {
	if u.Scheme != "tel" {
		return u.User
	}
	number, _, _ := strings.Cut(u.Opaque, ";")
	if strings.Trim(number, "+0123456789-.()*#") != "" {
		return ""
	}
	return number
}

// Reachable tells whether a call to the dialled number has a Request-URI at every target.
func (c Config) Reachable(dialled string) bool {
	for _, t := range c.Targets {
		if c.Dial(t, dialled).User == "" {
			return false
		}
	}
	return true
}
