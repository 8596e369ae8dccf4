package transfer

import (
	"strconv"

	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/refer"
	"handoff/sip/leg"
)

// ByRefer sends REFER in leg A's dialog, with the key in Refer-To's URI headers: the seed's own path.
// What comes of it arrives at OnReferAnswered and OnNotified.
type ByRefer struct {
	Caller  Caller
	ReferTo string
}

func (m ByRefer) Attempt() { m.Caller.SendRefer(m.ReferTo) }

// Cancel does nothing: a REFER can't be taken back.
func (m ByRefer) Cancel() {}

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
	if !ours(ev) {
		x.deps.Log.Warn("NOTIFY of another subscription", zap.String("event", ev.Event))
		return
	}
	code, _, err := refer.ParseSipfrag(ev.Body, ev.ContentType)
	if err != nil {
		x.deps.Log.Warn("NOTIFY without a usable sipfrag", zap.Error(err))
		return
	}
	x.deps.Log.Info("NOTIFY", zap.Int("sipfrag", code), zap.String("state", ev.SubscriptionState))
	if code >= 200 && code < 300 {
		x.proved = ev.Received
	}
	x.step(refer.Progress{Method: metrics.MethodRefer, Code: code})
}

// ours tells whether a NOTIFY is about our last REFER: one of an earlier REFER proves nothing about
// it. A NOTIFY without id can only be taken for ours; one without Event is forgiven.
func ours(ev leg.Notified) bool {
	if ev.Event == "" {
		return true
	}
	id, err := refer.ParseEvent(ev.Event)
	return err == nil && (id == "" || id == strconv.FormatUint(uint64(ev.Refer), 10))
}
