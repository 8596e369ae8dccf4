package b2bua

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/refer"
	"handoff/sip/b2bua/transfer"
	"handoff/sip/journal"
	"handoff/sip/leg"
	"handoff/sip/trunk"
)

// handoff is the transfer under way, if any.
type handoff struct{ executor *transfer.Executor }

func (h *handoff) running() bool { return h.executor != nil && h.executor.Running() }

// onReferred judges a REFER and begins the transfer.
func (c *Call) onReferred(l *leg.Leg, r *leg.Refer) {
	observer := c.engine.deps.Observer
	switch {
	case l != c.b: // only Watson may move the caller
		observer.Rejected(metrics.RejectMethod)
		l.RejectRefer(r, 403, "Forbidden")
		return
	case c.handoff.running():
		countRefused(observer, metrics.TransferBusy)
		l.RejectRefer(r, 491, "Request Pending")
		return
	}
	request, err := refer.Decode(r.ReferTo, c.engine.cfg.Transfer.Policy)
	if err != nil {
		c.refuseRefer(l, r, err)
		return
	}
	methods, referTo, err := c.fit(request)
	if err != nil {
		observer.TransferContext(metrics.ContextMismatch)
		c.refuseRefer(l, r, err)
		return
	}
	cfg := transfer.Config{
		Refer:   r,
		Request: request,
		ReferTo: referTo,
		Methods: methods,
		Timeout: c.engine.cfg.Transfer.Timeout,
		Total:   c.engine.cfg.Transfer.Total,
	}
	c.handoff.executor, err = transfer.New(cfg, transfer.Deps{
		Log: c.log, Observer: observer, Call: transferCall{c}, Watson: c.b, Caller: c.a,
	})
	if err != nil {
		c.refuseRefer(l, r, err)
		return
	}
	c.handoff.executor.Begin()
}

// refuseRefer answers a REFER that is not carried out and says why.
func (c *Call) refuseRefer(l *leg.Leg, r *leg.Refer, err error) {
	refusal := &refer.Refusal{Code: 500, Reason: metrics.TransferInternal, Text: "Server Internal Error"}
	errors.As(err, &refusal)
	observer := c.engine.deps.Observer
	countRefused(observer, refusal.Reason)
	if refusal.Reason == metrics.TransferMalformed {
		observer.TransferContext(metrics.ContextRejected)
	}
	c.log.Warn("REFER refused", zap.Int("code", refusal.Code), zap.Error(err))
	l.RejectRefer(r, refusal.Code, refusal.Text)
}

// countRefused counts a transfer that ended before it began.
func countRefused(observer Observer, why metrics.TransferReason) {
	observer.TransferStarted()
	observer.TransferEnded(metrics.MethodNone, why, 0)
}

// fit chooses the methods that can work for this caller and this key, and builds what they send.
// What Twilio would reject is not tried. The error says that what would go out is not what came in.
func (c *Call) fit(request refer.Request) (methods []metrics.Method, referTo string, err error) {
	wanted := c.engine.cfg.Transfer.Methods
	if slices.Contains(wanted, metrics.MethodRefer) {
		switch referTo, err = request.ReferTo(c.engine.cfg.Transfer.MaxReferTo); {
		case errors.Is(err, refer.ErrMismatch):
			return nil, "", err
		case err != nil:
			c.log.Warn("method refer does not fit", zap.Error(err))
		case c.caller.kind != trunk.PV:
			c.log.Warn("method refer does not fit: an elastic trunk would dial the target")
		default:
			methods = append(methods, metrics.MethodRefer)
		}
	}
	return methods, referTo, nil
}

func (h *handoff) onReferAnswered(ev leg.ReferAnswered) {
	if h.executor != nil {
		h.executor.OnReferAnswered(ev)
	}
}

func (h *handoff) onNotified(ev leg.Notified) {
	if h.executor != nil {
		h.executor.OnNotified(ev)
	}
}

func (h *handoff) shutdown() {
	if h.running() {
		h.executor.Shutdown()
	}
}

func (h *handoff) record() *journal.Transfer {
	if !h.running() {
		return nil
	}
	r := h.executor.Record()
	machine, _ := json.Marshal(r.Machine) // plain data: it always marshals
	return &journal.Transfer{Event: r.Event, ReferTo: r.ReferTo, Machine: machine, Began: r.Began}
}

// transferCall is the call as its transfer sees it.
type transferCall struct{ c *Call }

func (t transferCall) After(d time.Duration, f func()) func() { return t.c.after(d, f) }
func (t transferCall) Promise(act func())                     { t.c.promise(act) }
func (t transferCall) InOrder(act func())                     { t.c.inOrder(act) }

// EndCaller ends the leg of a caller who has nobody left to talk to.
func (t transferCall) EndCaller(why metrics.TransferReason) {
	reason := metrics.ReasonTransferFailed
	if why.Result() == metrics.Indeterminate {
		reason = metrics.ReasonTransferUnproved
	}
	t.c.ending.because(reason)
	t.c.endCaller()
}

func (t transferCall) TransferDone(why metrics.TransferReason) {
	switch why {
	case metrics.TransferProved:
		t.c.ending.because(metrics.ReasonTransferred)
	case metrics.TransferCallerGone:
		t.c.ending.because(metrics.ReasonCallerHangup)
	case metrics.TransferUnproved:
		t.c.ending.because(metrics.ReasonTransferUnproved)
	}
}

// TransferCorrected overwrites what was taken for the reason while nothing was proved.
func (t transferCall) TransferCorrected(why metrics.TransferReason) {
	if why == metrics.TransferProved {
		t.c.ending.correct(metrics.ReasonTransferred)
	}
}
