package twilio

import (
	"regexp"
	"strings"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

var callerNumber = regexp.MustCompile(`^\+?[0-9]{3,15}$`)

// checkInvite is what the edge must get right on its way to the agent.
func (c *Inbound) checkInvite(r *wire.Request) {
	a := c.domain.account
	c.checkHidden(r.Message)
	from := wire.Address(r.Get("From"))
	user, _, _ := strings.Cut(strings.TrimPrefix(from, "sip:"), "@")
	if wire.Tag(r.Get("From")) == "" || wire.Tag(r.Get("To")) != "" || !c.expects(user) {
		c.violate(simulator.CallerID, "From %s", from)
	}
	if a.owns(c.callID) {
		c.violate(simulator.OwnCallID, "it is that of the caller's leg")
	}
	if want := c.reception.Key; want != "" {
		if got := r.All(keyHeader); len(got) != 1 || got[0] != want {
			c.violate(simulator.KeyDelivered, "%d headers, %d bytes", len(got), len(strings.Join(got, "")))
		}
	}
	if contacts := r.List("Contact"); len(contacts) != 1 {
		c.violate(simulator.AnswerContact, "%d Contacts in the INVITE", len(contacts))
	} else if p, err := parseAddress(wire.Address(contacts[0])); err != nil || p.transport != wire.TLS {
		c.violate(simulator.AnswerContact, "%s is not for TLS", contacts[0])
	}
	c.checkOffer(r.Body)
}

// expects tells whether the edge may show this user part.
func (c *Inbound) expects(user string) bool {
	if want := c.reception.Caller; want != "" {
		return user == want
	}
	return (user == "anonymous" || callerNumber.MatchString(user)) &&
		c.domain.account.anyCall(func(other *Call) bool { return other.options.shows() == user })
}

// checkOffer wants one key that was seen on no other leg.
func (c *Inbound) checkOffer(raw []byte) {
	offer, err := phone.ParseSDP(raw)
	if err != nil {
		c.violate(simulator.OfferSDP, "%v", err)
		return
	}
	if c.reception.PlainMedia {
		return
	}
	usable := 0
	for _, line := range offer.Crypto {
		if _, _, err := line.Key(); err == nil && line.Suite == phone.Suite {
			usable++
		}
		if c.domain.account.knowsKey(line.Params) {
			c.violate(simulator.OwnKey, "the key of line %d is one of the caller's leg", line.Tag)
		}
	}
	if !offer.Secure() || usable != 1 {
		c.violate(simulator.OfferSDP, "profile %s, %d usable keys of %d", offer.Profile, usable, len(offer.Crypto))
	}
}

// hostOf is the host of a SIP URI, without its port.
func hostOf(uri string) string {
	p, err := parseAddress(uri)
	if err != nil {
		return ""
	}
	return p.host
}

// anyCall tells whether a living call is as asked; true when there is no call at all, so that a domain can be tried by itself.
func (a *Account) anyCall(holds func(*Call) bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.calls {
		if holds(c) {
			return true
		}
	}
	return len(a.calls) == 0
}

func (a *Account) owns(callID string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[callID] != nil
}

// knowsKey tells whether an SRTP key belongs to a leg between Twilio and the edge, in either direction.
func (a *Account) knowsKey(params string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.calls {
		if c.phone.Knows(params) {
			return true
		}
	}
	return false
}
