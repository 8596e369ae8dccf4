package twilio

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"go.uber.org/zap"

	"handoff/sip/simulator"
	"handoff/sip/simulator/digest"
	"handoff/sip/simulator/wire"
)

// maxReferTo is Twilio's limit for the value of Refer-To.
const maxReferTo = 256

// onRefer judges a REFER and lets the transfer run on its own goroutine.
func (c *Call) onRefer(r *wire.Request) {
	values, o := r.All("Refer-To"), c.options.Refer
	c.mu.Lock()
	again := c.refer.running || c.refer.succeeded || c.redirected
	c.referTos = append(c.referTos, values...)
	c.mu.Unlock()
	if again {
		c.violate(simulator.OneTransfer, "a second REFER")
		c.respond(r, 491, "Request Pending")
		return
	}
	if len(values) != 1 {
		c.violate(simulator.OneReferTo, "%d Refer-To headers", len(values))
		c.respond(r, 400, "Bad Request")
		return
	}
	if len(values[0]) > maxReferTo {
		c.violate(simulator.ReferToLength, "%d characters", len(values[0]))
	}
	if o.AnswerDelay == 0 {
		c.answerRefer(r, values[0])
		return
	}
	c.setRefer(progress{running: true})
	c.account.spawn(func() {
		if c.wait(o.AnswerDelay) {
			c.setRefer(progress{})
			c.answerRefer(r, values[0])
		}
	})
}

// answerRefer takes a REFER, or refuses it.
func (c *Call) answerRefer(r *wire.Request, target string) {
	o, fits := c.options.Refer, len(target) <= maxReferTo
	switch {
	case c.trunk && c.forbidsTrunk(r, target):
	case o.Challenge != nil && !c.authorized(r, *o.Challenge):
	case o.ByeCrossing:
		c.account.spawn(func() { c.cross(r) })
	case o.Silent:
		c.setRefer(progress{running: true})
	case o.Status != 0:
		var why []wire.Header
		if o.Error != "" {
			why = append(why, twilioError(o.Error))
		}
		c.respond(r, o.Status, "Refused", why...)
	case !fits && o.TooLong == RejectLong:
		c.respond(r, 400, "Bad Request")
	default:
		if !fits && o.TooLong == TruncateLong {
			target = target[:maxReferTo]
		}
		c.setRefer(progress{running: true})
		c.account.spawn(func() { c.transfer(r, target) })
	}
}

// authorized asks for credentials, or judges those that came. When it is false, the REFER is answered.
func (c *Call) authorized(r *wire.Request, o Digest) bool {
	_, credentials := o.Headers()
	v, what := c.account.guard.Verify(o, "REFER", r.URI(), r.All(credentials))
	switch v {
	case digest.Granted:
		return true
	case digest.Broken:
		c.violate(simulator.DigestResponse, "%s", what)
		c.respond(r, 403, "Forbidden")
	case digest.Denied:
		c.respond(r, 403, "Forbidden")
	default:
		status, reason := o.Status()
		c.respond(r, status, reason, c.account.guard.Challenge(o, what == "stale"))
	}
	return false
}

func (c *Call) setRefer(p progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refer = p
}

// cross sends the BYE first; the REFER finds the call gone.
func (c *Call) cross(r *wire.Request) {
	if err := c.bye(c.account.ctx, CrossedByBye); err != nil {
		c.account.log.Warn("crossing BYE", zap.Error(err))
	}
	c.respond(r, 481, "Call/Transaction Does Not Exist")
}

// transfer plays the REFER of a <Dial referUrl> to its end:
//
//	202, NOTIFY 100, POST referUrl → Redirect → Studio → Enqueue → task, NOTIFY 200, BYE
func (c *Call) transfer(r *wire.Request, target string) {
	o := c.options.Refer
	if o.Before202 {
		code := c.carryOut(target)
		c.tell(r, code)
		c.wait(o.Delay)
		c.accepted(r)
		c.finish(r, code)
		return
	}
	c.accepted(r)
	c.wait(o.TryingDelay)
	switch o.Then {
	case Nothing:
		return
	case OnlyBye:
		c.carryOut(target)
		c.endLeg()
		return
	}
	c.notify(r, 100, o.Terminated)
	if o.Then == OnlyTrying {
		return
	}
	c.wait(o.Delay)
	if !c.answerOnBridge && c.referURL != "" {
		c.release(r, target)
		return
	}
	code := c.carryOut(target)
	if o.AfterBye {
		c.setRefer(progress{succeeded: code < 300})
		c.endLeg()
		c.notify(r, code, true)
		return
	}
	c.tell(r, code)
	c.finish(r, code)
}

func (c *Call) accepted(r *wire.Request) {
	c.respond(r, 202, "Accepted", wire.Header{Name: "Contact", Value: c.dialog.Contact})
}

// carryOut runs the webhooks and returns the code that the transferor is told.
func (c *Call) carryOut(target string) int {
	if c.trunk { // it is dialled, and answers
		return c.told(200)
	}
	if c.referURL == "" {
		c.account.alert(13802, c.parent.sid, "REFER without referUrl")
		return c.told(503)
	}
	if final := c.options.Refer.Final; final >= 300 {
		return final // the target did not answer; nothing that the webhooks say comes to pass
	}
	ctx, cancel := context.WithTimeout(c.account.ctx, 30*time.Second)
	defer cancel()
	if _, err := c.account.execute(ctx, c.parent, c.referURL, url.Values{"ReferTransferTarget": {target}}); err != nil {
		c.account.log.Warn("transfer", zap.Error(err))
		return c.told(503)
	}
	return c.told(200)
}

func (c *Call) told(code int) int {
	if c.options.Refer.Final != 0 {
		return c.options.Refer.Final
	}
	return code
}

// tell sends the last NOTIFY. From here on a BYE of either side completes a transfer that worked.
func (c *Call) tell(r *wire.Request, code int) {
	c.setRefer(progress{succeeded: code < 300})
	c.notify(r, code, true)
}

// finish releases a leg that was transferred, that of a trunk never at once; after a failure the caller simply stays with the edge.
func (c *Call) finish(_ *wire.Request, code int) {
	if code >= 300 {
		return
	}
	if (c.trunk || c.options.Refer.Hangup == AfterPatience) && !c.wait(c.options.Refer.patience()) {
		return
	}
	c.endLeg()
}

// endLeg sends the BYE, unless the edge was faster.
func (c *Call) endLeg() {
	if err := c.bye(c.account.ctx, CrossedByBye); err != nil {
		c.account.log.Debug("BYE after the transfer", zap.Error(err))
	}
}

// notify sends a NOTIFY with a sipfrag and waits for its answer.
func (c *Call) notify(r *wire.Request, code int, terminated bool) {
	c.mu.Lock()
	over := c.ending.How != Alive
	m := c.notifyLocked(r, code, terminated)
	c.mu.Unlock()
	response, err := c.Send(c.account.ctx, m)
	status := 0
	if err == nil {
		status = response.Status()
	}
	c.mu.Lock()
	c.notified = append(c.notified, status)
	over = over || c.ending.How != Alive
	c.mu.Unlock()
	if status != 200 && !(over && status == 481) && c.account.ctx.Err() == nil {
		c.violate(simulator.NotifyAnswered, "NOTIFY %d was answered %d", code, status)
	}
}

// notifyLocked builds a NOTIFY about the REFER r, with what is odd about it.
func (c *Call) notifyLocked(r *wire.Request, code int, terminated bool) *wire.Message {
	o, last := c.options.Refer, code >= 200
	number, _ := r.CSeq()
	event, state, sipfrag := "refer", "active;expires=60", fmt.Sprintf("SIP/2.0 %d %s\r\n", code, reasons[code])
	switch {
	case o.OtherID && last:
		event = fmt.Sprintf("refer;id=%d", number+1000)
	case o.EventID:
		event = fmt.Sprintf("refer;id=%d", number)
	}
	if terminated {
		state = "terminated;reason=noresource"
	}
	if o.Sipfrag != "" && last {
		sipfrag = o.Sipfrag
	}
	kept := c.dialog.CSeq
	switch {
	case o.LowCSeq:
		c.dialog.CSeq = c.lowCSeq
	case o.RepeatCSeq && last:
		c.dialog.CSeq--
	}
	m := c.requestLocked("NOTIFY").Add("Contact", c.dialog.Contact).Add("Event", event).Add("Subscription-State", state)
	if o.LowCSeq {
		c.lowCSeq, c.dialog.CSeq = c.dialog.CSeq, kept
	}
	return m.SetBody("message/sipfrag", []byte(sipfrag))
}

var reasons = map[int]string{100: "Trying", 200: "OK", 404: "Not Found", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 486: "Busy Here", 500: "Server Internal Error", 503: "Service Unavailable", 603: "Decline"}

// wait pauses; false when the call or the account ended meanwhile.
func (c *Call) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.over:
	case <-c.account.ctx.Done():
	}
	return false
}
