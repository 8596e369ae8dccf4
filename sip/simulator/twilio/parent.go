package twilio

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// webhookWithin bounds what a webhook may take, its redirects included.
const webhookWithin = 15 * time.Second

// parent is the caller's own leg: the call that runs TwiML.
type parent struct {
	sid, from, to string
	trunk         bool // it runs none

	mu       sync.Mutex
	answered time.Time // zero: it rings
	last     string    // the CallStatus it ended with; empty: it lives
}

// answer is the caller's call being answered: by the bridge to the edge, or by a verb that has something to say.
func (p *parent) answer() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answered.IsZero() {
		p.answered = time.Now()
	}
}

// status is its CallStatus.
func (p *parent) status() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.last != "":
		return p.last
	case p.answered.IsZero():
		return "ringing"
	}
	return "in-progress"
}

func (p *parent) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last != ""
}

// end ends it once, as unanswered says if it never was answered. It returns how long it was.
func (p *parent) end(unanswered string) (talked time.Duration, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != "" {
		return 0, false
	}
	p.last = unanswered
	if !p.answered.IsZero() {
		p.last, talked = "completed", time.Since(p.answered)
	}
	return talked, true
}

// endParent ends the caller's own call, and tells the customer's status callback.
func (a *Account) endParent(p *parent, unanswered string) {
	talked, first := p.end(unanswered)
	if !first {
		return
	}
	a.studio.Forget(p.sid)
	if a.cfg.Webhooks == "" || p.trunk {
		return
	}
	form := a.form(p, url.Values{
		"CallDuration": {strconv.Itoa(seconds(talked))}, "Duration": {strconv.Itoa((seconds(talked) + 59) / 60)},
		"Timestamp": {time.Now().UTC().Format(time.RFC1123Z)}, "SequenceNumber": {"0"}, "CallbackSource": {"call-progress-events"},
	})
	a.spawn(func() {
		ctx, cancel := context.WithTimeout(a.ctx, webhookWithin)
		defer cancel()
		if _, _, err := a.post(ctx, p.sid, a.webhook("/status"), form); err != nil {
			a.log.Info("status callback", zap.Error(err)) // nobody waits for it
		}
	})
}

// webhook is the URL of one of the customer's own.
func (a *Account) webhook(path string) string { return strings.TrimSuffix(a.cfg.Webhooks, "/") + path }

// seconds as Twilio bills them: begun ones count.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// LeaveFlex is the caller hanging up on the queue or the agent, after the leg to the edge has ended.
func (c *Call) LeaveFlex() error {
	if !c.isOver() || c.parent.over() {
		return errors.New("the caller is not in Flex")
	}
	c.account.endParent(c.parent, "no-answer")
	return nil
}

// ParentStatus is the CallStatus of the caller's own call: "ringing", "in-progress", or how it ended.
func (c *Call) ParentStatus() string { return c.parentStatus() }
