package twilio

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// afterDial is Voice when a <Dial> has ended: its action is asked, and the caller goes on as that says, unless a REFER or the REST API
// took him elsewhere or he hung up. Without an action, or with an empty answer, his call ends.
func (c *Call) afterDial(e Ending, elsewhere bool) {
	a := c.account
	switch {
	case e.How == Abandoned:
		close(c.dialed)
		return
	case c.actionURL == "":
		close(c.dialed)
		if !elsewhere {
			a.endParent(c.parent, "no-answer")
		}
		return
	}
	gone := e.How == CallerHungUp || e.How == Cancelled && !c.timedOut()
	a.spawn(func() {
		defer close(c.dialed)
		ctx, cancel := context.WithTimeout(a.ctx, 2*webhookWithin)
		defer cancel()
		verbs, err := a.fetch(ctx, c.parent, c.actionURL, c.dialResult(e))
		if err == nil && !elsewhere && !gone {
			_, err = a.follow(ctx, c.parent, c.actionURL, verbs)
			elsewhere = err == nil
		}
		if err != nil {
			a.log.Info("after the Dial", zap.Error(err))
		}
		if !elsewhere {
			a.endParent(c.parent, "no-answer")
		}
	})
}

// dialResult is what an action is told of its Dial.
func (c *Call) dialResult(e Ending) url.Values {
	c.mu.Lock()
	defer c.mu.Unlock()
	form := url.Values{
		"DialCallStatus": {c.dialStatusLocked(e)}, "DialCallSid": {c.sid}, "DialBridged": {strconv.FormatBool(c.isAnswered)},
		"DialSipCallId": {c.callID},
	}
	if c.isAnswered {
		form.Set("DialCallDuration", strconv.Itoa(seconds(time.Since(c.answeredAt))))
	}
	if c.final != nil {
		form.Set("DialSipResponseCode", strconv.Itoa(c.final.Status()))
		for _, h := range c.final.Headers {
			if len(h.Name) > 2 && strings.EqualFold(h.Name[:2], "X-") {
				form.Add("DialSipHeader_"+h.Name, h.Value)
			}
		}
	}
	if e.How == CallerHungUp || e.How == Cancelled && !c.timeout {
		form.Set("CallStatus", map[bool]string{true: "completed", false: "no-answer"}[c.isAnswered])
	}
	return form
}

// dialStatusLocked is DialCallStatus. ("answered" is for conferences.)
func (c *Call) dialStatusLocked(e Ending) string {
	switch {
	case c.isAnswered:
		return "completed"
	case c.timeout:
		return "no-answer"
	case e.How == Cancelled:
		return "canceled"
	case e.Status == 486 || e.Status == 600:
		return "busy"
	case e.Status == 408 || e.Status == 480:
		return "no-answer"
	}
	return "failed"
}

// ringNoLonger ends a Dial that nobody answers: CANCEL after its timeout and the five seconds that Twilio adds.
func (c *Call) ringNoLonger(after time.Duration) {
	c.account.spawn(func() {
		t := time.NewTimer(after)
		defer t.Stop()
		select {
		case <-c.answered:
		case <-c.over:
		case <-c.account.ctx.Done():
		case <-t.C:
			c.mu.Lock()
			c.timeout = true
			c.mu.Unlock()
			if err := c.Cancel(c.account.ctx); err != nil {
				c.account.log.Debug("CANCEL after the timeout", zap.Error(err)) // answered meanwhile
			}
		}
	})
}

func (c *Call) timedOut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.timeout
}
