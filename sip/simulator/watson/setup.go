package watson

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

// allow is what a VoIP gateway of that family is expected to list; nobody published it.
const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY, INFO, UPDATE"

func (c *Call) allow() string {
	if c.behaviour.NoUpdate {
		return strings.TrimSuffix(allow, ", UPDATE")
	}
	return allow
}

var reasons = map[int]string{
	180: "Ringing", 183: "Session Progress", 200: "OK",
	300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy", 380: "Alternative Service", 403: "Forbidden", 404: "Not Found", 480: "Temporarily Unavailable", 486: "Busy Here",
	488: "Not Acceptable Here", 491: "Request Pending", 500: "Server Internal Error", 503: "Service Unavailable", 603: "Decline",
}

// onInvite judges the INVITE and takes the call as the behaviour says.
func (a *Assistant) onInvite(r *wire.Request, b Behaviour) {
	if b.Digest != nil && !b.Silent && !a.admit(r, *b.Digest) {
		return
	}
	tag := wire.Token(8)
	c := &Call{
		assistant: a, behaviour: b, callID: r.Get("Call-ID"), invite: r, conn: r.Conn, invites: map[uint32]bool{},
		answered: make(chan struct{}), over: make(chan struct{}), transfer: subscription{changed: make(chan struct{})},
		session: session{refreshed: make(chan struct{}, 1)},
	}
	number, _ := r.CSeq()
	c.dialog = wire.Dialog{
		CallID: c.callID, Local: r.Get("To") + ";tag=" + tag, Remote: r.Get("From"), Target: wire.Address(r.Get("Contact")),
		Routes: r.List("Record-Route"), Contact: "<sips:" + r.Conn.Local().String() + ">", RemoteCSeq: number,
	}
	c.dialog.Extra = b.tells()
	if !a.register(c) {
		r.Respond(wire.Respond(r.Message, 503, "Service Unavailable", tag))
		return
	}
	c.checkInvite(r)
	if b.Silent {
		return
	}
	if !b.NoTrying {
		r.Respond(wire.Respond(r.Message, 100, "Trying", ""))
	}
	if user, _, _ := strings.Cut(strings.TrimPrefix(r.URI(), "sips:"), "@"); !a.knows(user) {
		c.reject(403)
		return
	}
	answer, err := c.openPhone()
	if err != nil {
		c.violate(simulator.OfferSDP, "%v", err)
		c.reject(488)
		return
	}
	a.spawn(func() { c.ring(answer) })
}

// openPhone makes the phone and its answer.
func (c *Call) openPhone() ([]byte, error) {
	cfg := c.assistant.cfg
	secure := !cfg.PlainMedia
	if offer, err := phone.ParseSDP(c.invite.Body); err == nil && cfg.OptionalSRTP {
		secure = offer.Secure()
	}
	p, err := phone.New(phone.Config{Addr: cfg.Addr, Secure: secure, Suite: cfg.Suite, Voice: cfg.Voice, First: c.behaviour.First, Report: cfg.Report, Tells: c.behaviour.Tells, Events: c.behaviour.Events})
	if err != nil {
		return nil, err
	}
	answer, err := p.Answer(c.invite.Body)
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
	c.phone = p
	return answer, nil
}

// ring sends the provisional responses, waits, and sends the final one.
func (c *Call) ring(answer []byte) {
	b := c.behaviour
	if !b.NoRinging && !c.progress(c.response(c.invite, 180)) {
		return
	}
	if b.EarlyMedia {
		if !c.progress(c.response(c.invite, 183).SetBody("application/sdp", answer)) {
			return
		}
		c.phone.Talk()
	}
	if b.EarlyFork {
		hush, err := c.ringElsewhere()
		if err != nil {
			c.violate(simulator.OfferSDP, "%v", err)
			return
		}
		defer hush()
	}
	t := time.NewTimer(b.RingFor)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.over:
		return
	case <-c.assistant.ctx.Done():
		return
	}
	if b.Redirect != nil {
		c.reject(cmp.Or(b.Reject, 302))
		return
	}
	if b.Reject != 0 {
		c.reject(b.Reject)
		return
	}
	c.answer(answer)
}

func (c *Call) reject(status int) {
	if c.finally(false) {
		m := c.response(c.invite, status)
		if status/100 == 3 {
			for _, contact := range c.behaviour.Redirect {
				m.Add("Contact", contact)
			}
		}
		if seconds := c.behaviour.RetryAfter; seconds > 0 {
			m.Add("Retry-After", strconv.Itoa(seconds))
		}
		c.invite.Respond(m)
		c.end(Ending{How: Rejected, Status: status})
	}
}

// finally claims the final response to the INVITE; false when a CANCEL was faster.
func (c *Call) finally(accept bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.final || c.ending.How != Alive {
		return false
	}
	c.final = true
	if accept {
		number, _ := c.invite.CSeq()
		c.invites[number] = true
		c.wantACKs = 1 + c.behaviour.Repeat
	}
	return true
}

// answer sends the 200, a forked one with it if asked, and ends the call when no ACK comes.
func (c *Call) answer(sdp []byte) {
	if !c.finally(true) {
		return
	}
	ok := c.timed(c.response(c.invite, 200).Add("Contact", c.dialog.Contact).Add("Allow", c.allow()))
	if !c.behaviour.Reliable || !c.behaviour.EarlyMedia { // else the answer is there already (RFC 3262 §5)
		ok.SetBody("application/sdp", sdp)
	}
	tag := ""
	if c.behaviour.Fork {
		tag = wire.Token(8)
		c.mu.Lock()
		c.fork.tag = tag // before the edge can react, or hang up
		c.mu.Unlock()
	}
	c.invite.Respond(ok)
	if tag != "" {
		c.invite.Conn.Send(ok.Clone().Set("To", c.invite.Get("To")+";tag="+tag)) // a call whose connection is gone ends without ACK
	}
	c.phone.Talk()
	t := time.NewTimer(64 * c.assistant.wire.T1())
	defer t.Stop()
	select {
	case <-c.answered:
	case <-c.over:
		return
	case <-c.assistant.ctx.Done():
		return
	case <-t.C:
		c.violate(simulator.ACKMissing, "none")
		c.end(Ending{How: NotAcknowledged})
		return
	}
	if c.behaviour.SessionExpires > 0 {
		c.assistant.spawn(c.keepSession)
	}
	for range c.behaviour.Repeat {
		c.invite.Conn.Send(ok) // likewise
	}
	if target := c.behaviour.SetupFailure; target != "" {
		if _, err := c.Refer(c.assistant.ctx, Transfer{Target: target}); err != nil {
			c.assistant.log.Info("setup failure", zap.Error(err))
		}
	}
	if c.behaviour.Script != nil {
		c.behaviour.Script(c.assistant.ctx, c)
	}
}

// response builds one with our tag.
func (c *Call) response(r *wire.Request, status int) *wire.Message {
	reason := reasons[status]
	if host := c.behaviour.Tells; host != "" {
		reason += " at " + host
	}
	m := wire.Respond(r.Message, status, reason, wire.Tag(c.dialog.Local))
	m.Headers = append(m.Headers, c.behaviour.tells()...)
	return m
}

// tells are headers that name a host.
func (b Behaviour) tells() []wire.Header {
	host := b.Tells
	if host == "" {
		return nil
	}
	return []wire.Header{
		{Name: "Server", Value: host}, {Name: "User-Agent", Value: host}, {Name: "Warning", Value: `399 ` + host + ` "at ` + host + `"`},
		{Name: "Retry-After", Value: "7 (" + host + ")"}, {Name: "Reason", Value: `SIP;cause=403;text="` + host + `"`},
		{Name: "Error-Info", Value: "<sips:" + host + ">"}, {Name: "P-Asserted-Identity", Value: "<sips:wa@" + host + ">"},
		{Name: "Referred-By", Value: "<sips:wa@" + host + ">"},
	}
}

// onCancel ends a call that rings.
func (c *Call) onCancel(r *wire.Request) {
	r.Respond(wire.Respond(r.Message, 200, "OK", wire.Tag(c.dialog.Local)))
	if c.finally(false) {
		c.invite.Respond(wire.Respond(c.invite.Message, 487, "Request Terminated", wire.Tag(c.dialog.Local)))
		c.end(Ending{How: Cancelled, Reason: r.Get("Reason")})
	}
}
