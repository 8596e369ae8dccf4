package twilio

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"handoff/sip/simulator"
	"handoff/sip/simulator/digest"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

// minHops is Twilio's error 32006.
const minHops = 20

// onInvite takes an INVITE outside a dialog: the first of a call, or the same again with credentials (c is then the call).
func (d *Domain) onInvite(c *Inbound, r *wire.Request) {
	d.mu.Lock()
	reception := d.reception
	d.mu.Unlock()
	if c == nil {
		c = &Inbound{
			domain: d, reception: reception, sid: sid("CA"), callID: r.Get("Call-ID"), conn: r.Conn,
			answered: make(chan struct{}), over: make(chan struct{}),
		}
		if !d.register(c) {
			r.Respond(wire.Respond(r.Message, 503, "Service Unavailable", wire.Token(4)))
			return
		}
	}
	if !c.begin(r) {
		r.Respond(wire.Respond(r.Message, 482, "Loop Detected", wire.Token(4)))
		return
	}
	if c.reception.Silent {
		return
	}
	r.Respond(wire.Respond(r.Message, 100, "trying -- your call is important to us", "").Add("Server", "Twilio Gateway"))
	if c.admit(r) {
		c.take(r)
	}
}

// begin makes the INVITE the one that counts; false when the call is beyond INVITEs.
func (c *Inbound) begin(r *wire.Request) bool {
	number, _ := r.CSeq()
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.invite
	if c.taken || c.ending.How != Alive {
		c.violate(simulator.OwnCallID, "another INVITE with it")
		return false
	}
	if before != nil {
		if old, _ := before.CSeq(); number <= old || wire.Tag(r.Get("From")) != wire.Tag(before.Get("From")) {
			c.violate(simulator.DigestResponse, "CSeq %d after %d, or another From tag", number, old)
		}
		if !before.Acked() {
			c.violate(simulator.ACKMissing, "the challenge was not acknowledged")
		}
	}
	c.invite, c.number = r, number
	c.dialog = wire.Dialog{
		CallID: c.callID, Local: r.Get("To") + ";tag=" + wire.Token(8), Remote: r.Get("From"), Target: wire.Address(r.Get("Contact")),
		Routes: r.List("Record-Route"), Contact: fmt.Sprintf("<sip:%s:5060;transport=udp>", privateIP), RemoteCSeq: number,
	}
	return true
}

// admit is Twilio's door: the name, the access list, the credentials. When it is false, the INVITE is answered.
func (c *Inbound) admit(r *wire.Request) bool {
	o := c.reception
	if host := hostOf(r.URI()); !strings.EqualFold(host, c.domain.name) {
		c.violate(simulator.DomainURI, "%s", host)
		c.refuse(403, "Forbidden", "")
		return false
	}
	if hops, err := strconv.Atoi(r.Get("Max-Forwards")); err != nil || hops < minHops {
		c.violate(simulator.EnoughHops, "%q", r.Get("Max-Forwards"))
		c.refuse(483, "Too Many Hops", "32006 Too many hops")
		return false
	}
	if o.Deny {
		c.refuse(403, "Forbidden", "32201 Authentication failure - source IP Address not in ACL")
		return false
	}
	if o.NoAuth {
		return true
	}
	_, credentials := o.Digest.Headers()
	guard := c.domain.account.guard
	v, what := guard.Verify(o.Digest, "INVITE", r.URI(), r.All(credentials))
	switch {
	case v == digest.Challenged:
		status, reason := o.Digest.Status()
		challenge := guard.Challenge(o.Digest, what == "stale")
		m := wire.Respond(r.Message, status, reason, wire.Token(8)).Add("Server", "Twilio")
		m.Headers = append(m.Headers, challenge)
		r.Respond(m) // lost: the INVITE comes again
		return false
	case v == digest.Broken:
		c.violate(simulator.DigestResponse, "%s", what)
		c.refuse(403, "Forbidden", "")
		return false
	case v == digest.Denied || o.Refuse:
		c.refuse(403, "Forbidden", "32202 Authentication failure - invalid user or password")
		return false
	}
	return !o.Mute
}

// take judges the INVITE that was let in and rings.
func (c *Inbound) take(r *wire.Request) {
	c.checkInvite(r)
	offer, err := phone.ParseSDP(r.Body)
	if err == nil && offer.Secure() == c.reception.PlainMedia {
		if offer.Secure() {
			c.refuse(488, "Not Acceptable Here", "")
			return
		}
		c.refuse(488, "Secure media required", "32209 Secure SIP transport required")
		return
	}
	answer, err := c.openPhone(r.Body)
	if err != nil {
		if c.reception.Codecs == nil {
			c.violate(simulator.OfferSDP, "%v", err)
		}
		c.refuse(488, "Not Acceptable Here", "")
		return
	}
	c.domain.account.spawn(func() { c.ring(answer) })
}

// openPhone makes the agent's phone and its answer.
func (c *Inbound) openPhone(offer []byte) ([]byte, error) {
	p, err := phone.New(phone.Config{
		Addr: c.domain.account.cfg.Addr, Secure: !c.reception.PlainMedia, Codecs: c.reception.Codecs, Voice: c.reception.Voice,
		Events: c.reception.Events,
		User:   "root", Name: "Twilio Media Gateway", Origin: netip.MustParseAddr(privateIP), MaxTime: true,
	})
	if err != nil {
		return nil, err
	}
	answer, err := p.Answer(offer)
	if err != nil {
		p.Close()
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending.How != Alive {
		p.Close()
		return nil, fmt.Errorf("call over: %s", c.ending.How)
	}
	c.phone, c.taken = p, true
	return answer, nil
}

// ring sends the provisional responses, asks the voice webhook and sends the final response.
func (c *Inbound) ring(sdp []byte) {
	a, o := c.domain.account, c.reception
	if !o.NoRinging {
		c.invite.Respond(c.establishing(180, "Ringing"))
	}
	if o.EarlyMedia {
		c.invite.Respond(c.establishing(183, "Session Progress").SetBody("application/sdp", sdp))
		c.phone.Talk()
	}
	if o.RingFor > 0 && !a.wait(c.over, o.RingFor) {
		return
	}
	if o.Status != 0 {
		c.refuse(o.Status, reasons[o.Status], o.Error)
		return
	}
	if err := c.askWebhook(); err != nil {
		a.log.Info("voice webhook of the SIP domain", zap.Error(err))
		status := rejection(err)
		c.refuse(status, reasons[status], "")
		return
	}
	c.accept(sdp)
}

// rejection is the response to an INVITE whose webhook took nobody.
func rejection(err error) int {
	switch {
	case errors.Is(err, ErrBusy):
		return 486
	case errors.Is(err, ErrRejected):
		return 404
	}
	return 503
}

// askWebhook runs the domain's TwiML. Every header that may stand in a webhook does, its name as it came.
func (c *Inbound) askWebhook() error {
	r := c.invite
	from, to := wire.Address(r.Get("From")), r.URI()
	form := url.Values{
		"SipDomain": {c.domain.name}, "SipDomainSid": {"SD00000000000000000000000000000000"}, "SipCallId": {c.callID},
		"SipSourceIp": {r.Conn.Remote().Addr().String()},
	}
	if !c.reception.NoAuth {
		form.Set("SipUsername", c.domain.account.cfg.Username)
	}
	for _, h := range r.Headers {
		if len(h.Name) > 2 && strings.EqualFold(h.Name[:2], "X-") || strings.EqualFold(h.Name, "User-to-User") {
			form.Add("SipHeader_"+h.Name, h.Value)
		}
	}
	ctx, cancel := context.WithTimeout(c.domain.account.ctx, 15*time.Second)
	defer cancel()
	dial, err := c.domain.account.execute(ctx, &parent{sid: c.sid, from: from, to: to}, c.domain.account.domainURL, form)
	if err == nil && dial != nil {
		err = errors.New("a Dial came out, not an Enqueue")
	}
	return err
}
