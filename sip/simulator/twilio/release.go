package twilio

import (
	"context"
	"net/url"

	"go.uber.org/zap"

	"handoff/sip/simulator/wire"
)

// release is the REFER of a <Dial> without answerOnBridge: once the webhook has answered, the transferor is told so and gets a BYE, and
// the caller depends on what the webhook wants with him:
//
//	202, NOTIFY 100, POST referUrl, NOTIFY 200, BYE → Redirect → Studio → Enqueue → task
func (c *Call) release(r *wire.Request, target string) {
	a := c.account
	ctx, cancel := context.WithTimeout(a.ctx, 2*webhookWithin)
	defer cancel()
	verbs, err := a.fetch(ctx, c.parent, c.referURL, url.Values{"ReferTransferTarget": {target}})
	code := 200
	if err != nil {
		code = 503
	}
	code = c.told(code)
	c.tell(r, code)
	if code >= 300 { // the action of the Dial may still catch him
		if err := c.bye(a.ctx, Dropped); err != nil {
			a.log.Debug("BYE after the transfer", zap.Error(err))
		}
		return
	}
	c.endLeg()
	select {
	case <-c.dialed:
	case <-a.ctx.Done():
		return
	}
	if _, err := a.follow(ctx, c.parent, c.referURL, verbs); err != nil {
		a.log.Warn("transfer", zap.Error(err))
		a.endParent(c.parent, "no-answer")
	}
}
