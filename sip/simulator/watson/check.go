package watson

import (
	"regexp"
	"strconv"
	"strings"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

var callSid = regexp.MustCompile(`^CA[0-9a-f]{32}$`)

// checkInvite is what the edge must get right before anything else.
func (c *Call) checkInvite(r *wire.Request) {
	c.assistant.checkHidden(r.Message)
	c.checkHops(r)
	contacts := r.List("Contact")
	if len(contacts) != 1 {
		c.violate(simulator.SecureURI, "%d Contacts", len(contacts))
	}
	for _, value := range append(append(contacts, r.List("Route")...), r.URI()) {
		if uri := wire.Address(value); !strings.HasPrefix(uri, "sips:") {
			c.violate(simulator.SecureURI, "%s", uri)
		}
	}
	if wire.Tag(r.Get("From")) == "" || wire.Tag(r.Get("To")) != "" || wire.Address(r.Get("To")) != r.URI() {
		c.violate(simulator.FromTo, "From %s, To %s", r.Get("From"), r.Get("To"))
	}
	if strings.HasSuffix(c.callID, "@0.0.0.0") {
		c.violate(simulator.OwnCallID, "it is one of Twilio's")
	}
	if got := r.All("X-Twilio-CallSid"); len(got) != 1 || !callSid.MatchString(got[0]) {
		c.violate(simulator.CallSid, "%q", got)
	}
	c.checkOffer(r.Body)
}

func (c *Call) checkOffer(raw []byte) {
	offer, err := phone.ParseSDP(raw)
	switch {
	case err != nil:
		c.violate(simulator.OfferSDP, "%v", err)
		return
	case c.assistant.cfg.PlainMedia, c.assistant.cfg.OptionalSRTP && !offer.Secure():
		return
	case !offer.Secure():
		c.violate(simulator.OfferSDP, "profile %s", offer.Profile)
	}
	usable := 0
	for _, line := range offer.Crypto {
		if _, _, err := line.Key(); err == nil && line.Suite == c.assistant.cfg.Suite {
			usable++
		}
	}
	if usable != 1 {
		c.violate(simulator.OfferSDP, "%d usable keys of %d", usable, len(offer.Crypto))
	}
}

// checkRequest judges a request inside the dialog. A status other than 0 is what is answered instead of doing it.
func (c *Call) checkRequest(r *wire.Request) int {
	c.assistant.checkHidden(r.Message)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dialog.Owns(r.Message) {
		c.violate(simulator.InDialog, "%s with tags %q and %q", r.Method(), wire.Tag(r.Get("From")), wire.Tag(r.Get("To")))
		return 481
	}
	c.checkHops(r)
	if want := wire.Address(c.dialog.Contact); r.URI() != want {
		c.violate(simulator.RemoteTarget, "%s to %s instead of %s", r.Method(), r.URI(), want)
	}
	if got := r.List("Route"); len(got) != 0 {
		c.violate(simulator.RouteSet, "%s with %d Route values, the dialog has none", r.Method(), len(got))
	}
	if from, to := wire.Address(r.Get("From")), wire.Address(r.Get("To")); from != wire.Address(c.dialog.Remote) || to != wire.Address(c.dialog.Local) {
		c.violate(simulator.DialogURIs, "%s from %s to %s", r.Method(), from, to)
	}
	if contact := wire.Address(r.Get("Contact")); contact != "" && !strings.HasPrefix(contact, "sips:") {
		c.violate(simulator.SecureURI, "Contact of %s is %s", r.Method(), contact)
	}
	if r.Method() == "ACK" {
		return 0
	}
	n, method := r.CSeq()
	if method != r.Method() || n <= c.dialog.RemoteCSeq {
		c.violate(simulator.RisingCSeq, "%s has CSeq %q after %d", r.Method(), r.Get("CSeq"), c.dialog.RemoteCSeq)
		return 500
	}
	c.dialog.RemoteCSeq = n
	return 0
}

func (c *Call) checkHops(r *wire.Request) {
	if hops, err := strconv.Atoi(r.Get("Max-Forwards")); err != nil || hops < 1 || hops > 70 {
		c.violate(simulator.MaxForwards, "%s with %q", r.Method(), r.Get("Max-Forwards"))
	}
}
