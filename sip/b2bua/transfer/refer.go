package transfer

import (
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/refer"
	"handoff/sip/leg"
)

// attemptRefer sends REFER in leg A's dialog, with the key in Refer-To's URI headers: the seed's
// own path.
func (x *Executor) attemptRefer() { x.deps.Caller.SendRefer(x.cfg.ReferTo) }

// OnReferAnswered takes the final response to our REFER, or its absence.
func (x *Executor) OnReferAnswered(ev leg.ReferAnswered) {
	x.deps.Log.Info("REFER answered", zap.Int("code", ev.Code), zap.Error(ev.Err))
	switch {
	case ev.Code >= 300:
		x.step(refer.Rejected{Method: metrics.MethodRefer, Code: ev.Code})
	case ev.Code >= 200:
		x.step(refer.Accepted{Method: metrics.MethodRefer})
	case ev.Sent:
		x.step(refer.Silent{Method: metrics.MethodRefer})
	default:
		x.step(refer.Unsent{Method: metrics.MethodRefer})
	}
}

// OnNotified takes a NOTIFY of Twilio. The sipfrag alone decides; Subscription-State is not asked:
// some write "terminated" on the 100.
func (x *Executor) OnNotified(ev leg.Notified) {
	code, _, err := refer.ParseSipfrag(ev.Body, ev.ContentType)
	if err != nil {
		x.deps.Log.Warn("NOTIFY without a usable sipfrag", zap.Error(err))
		return
	}
	x.deps.Log.Info("NOTIFY", zap.Int("sipfrag", code), zap.String("state", ev.SubscriptionState))
	if code >= 200 && code < 300 {
		x.proved = time.Now()
	}
	x.step(refer.Progress{Method: metrics.MethodRefer, Code: code})
}
