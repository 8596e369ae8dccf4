package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"
)

// MaxTwiML is how long TwiML may be in an update (Twilio's error 32018), counted in bytes: never fewer than what Twilio calls characters.
const MaxTwiML = 4000

var (
	// ErrSID: what was given is no call SID, so no URL was made of it.
	ErrSID = errors.New("not a call SID: CA and 32 hex digits")
	// ErrTwiML: Twilio would refuse the TwiML for its length.
	ErrTwiML = fmt.Errorf("the TwiML is empty or longer than %d bytes", MaxTwiML)
)

// Update makes the call run other TwiML. It must be the parent of leg A: the child is leg A itself, and to redirect that would send
// Watson to the agent. It is sent once, or twice if Twilio answers 429 and the context leaves the time that Retry-After asks for.
func (c *Client) Update(ctx context.Context, callSid, twiml string) Outcome {
	switch {
	case !isSID(callSid, "CA"):
		return Unsent{ErrSID}
	case twiml == "" || len(twiml) > MaxTwiML:
		return Unsent{ErrTwiML}
	}
	form := url.Values{"Twiml": {twiml}}
	a, sent, err := c.exchange(ctx, http.MethodPost, ofCall(callSid), form)
	if err == nil && a.status == http.StatusTooManyRequests {
		wait, told := a.retryAfter(time.Now())
		if !told || !pause(ctx, wait) {
			return a.rejected(twiml)
		}
		c.log.Debug("twilio asked to wait", zap.String("call", callSid), zap.Duration("for", wait))
		a, sent, err = c.exchange(ctx, http.MethodPost, ofCall(callSid), form)
	}
	switch {
	case err != nil && !sent:
		return Unsent{err}
	case err != nil:
		return Silent{err}
	case a.status >= 200 && a.status < 300:
		return Accepted{}
	case a.status >= 400 && a.status < 500:
		return a.rejected(twiml)
	default:
		return Silent{a.indefinite()}
	}
}
