package b2bua

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"handoff/media/tone"
	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/refer"
	"handoff/sip/b2bua/transfer"
	"handoff/sip/journal"
	"handoff/sip/leg"
	"handoff/sip/trunk"
)

// handoff is the transfer under way, if any.
type handoff struct {
	executor *transfer.Executor
	asked    asked    // from which its request was read
	outcomes []string // of all that the call has seen, for its last line
}

// ended notes what became of the transfer.
func (h *handoff) ended(why metrics.TransferReason) {
	const enough = 16 // Watson may ask as often as it likes
	if len(h.outcomes) < enough {
		h.outcomes = append(h.outcomes, h.executor.Method().String()+" "+why.String())
	}
}

func (h *handoff) running() bool { return h.executor != nil && h.executor.Running() }

// state names where the transfer stands, "" for none.
func (h *handoff) state() string {
	if !h.running() {
		return ""
	}
	return h.executor.State()
}

// onReferred judges a REFER and begins the transfer.
func (c *Call) onReferred(l *leg.Leg, r *leg.Refer) {
	observer := c.engine.deps.Observer
	switch {
	case l != c.b: // only Watson may move the caller
		observer.Rejected(metrics.RejectMethod)
		l.RejectRefer(r, 403, "Forbidden")
		return
	case c.handoff.running():
		c.countRefused(metrics.TransferBusy)
		l.RejectRefer(r, 491, "Request Pending")
		return
	}
	what := asked{ReferTo: r.ReferTo, Headers: r.Headers}
	request, err := what.decode(c.engine.cfg.Transfer.Policy)
	if err == nil {
		err = c.begin(refer.Config{Origin: refer.OriginRefer, NoSubscription: r.Quiet}, what, request, r)
	}
	if err != nil {
		code, text := c.refuse(err)
		l.RejectRefer(r, code, text)
	}
}

// onHangupTransfer begins the transfer that Watson's BYE asks for; false says that it asks for none.
func (c *Call) onHangupTransfer(headers [][2]string) bool {
	name := c.engine.cfg.Transfer.HangupHeader
	if name == "" || !c.a.Alive() {
		return false
	}
	at := slices.IndexFunc(headers, func(h [2]string) bool { return strings.EqualFold(h[0], name) })
	if at < 0 {
		return false
	}
	what := asked{Hangup: &headers[at][1], Headers: headers}
	request, err := what.decode(c.engine.cfg.Transfer.Policy)
	if err == nil {
		err = c.begin(refer.Config{Origin: refer.OriginHangup}, what, request, nil)
	}
	if err != nil {
		c.refuse(err)
		return false
	}
	return true
}

// onOperatorTransfer begins the transfer that an operator asks for.
func (c *Call) onOperatorTransfer(to, key string) error {
	switch {
	case c.handoff.running():
		return errors.New("a transfer is under way")
	case c.agent.bridged:
		return errors.New("the caller talks to an agent already")
	case !c.a.Alive():
		return errors.New("the caller is not connected")
	}
	what := asked{ReferTo: []string{to}}
	if key != "" {
		what.Headers = [][2]string{{refer.KeyHeader, key}}
	}
	request, err := what.decode(c.engine.cfg.Transfer.Policy)
	if err != nil {
		return err
	}
	return c.begin(refer.Config{Origin: refer.OriginOperator}, what, request, nil)
}

// asked is everything in a request in which Watson may have put something. The journal keeps it as it is: it holds
// the key.
type asked struct {
	ReferTo []string    `json:"refer_to,omitempty"`
	Hangup  *string     `json:"hangup,omitempty"` // the header of a BYE; nil: it was none
	Headers [][2]string `json:"headers,omitempty"`
}

func (a asked) decode(policy refer.Policy) (refer.Request, error) {
	ask := refer.Ask{ReferTo: a.ReferTo}
	for _, h := range a.Headers {
		ask.Headers = append(ask.Headers, refer.Header{Name: h[0], Value: h[1]})
		if strings.EqualFold(h[0], "Contact") {
			ask.Contact = h[1]
		}
	}
	if a.Hangup != nil {
		return refer.DecodeHangup(*a.Hangup, ask, policy)
	}
	return refer.Decode(ask, policy)
}

// begin starts the transfer of a request that was judged good, by the methods that fit.
func (c *Call) begin(machine refer.Config, what asked, request refer.Request, r *leg.Refer) error {
	cfg := c.engine.cfg.Transfer
	machine.AfterSilence = cfg.AfterSilence
	plan := plan{request: request}
	for _, method := range cfg.Methods {
		err := c.fit(method, &plan)
		switch {
		case errors.Is(err, refer.ErrMismatch):
			return err
		case err != nil:
			c.log.Info("method does not fit", zap.Stringer("method", method), zap.Error(err))
		default:
			machine.Methods = append(machine.Methods, method)
		}
	}
	executor, err := transfer.New(transfer.Config{
		Machine: machine,
		Refer:   r,
		Request: request,
		ReferTo: plan.referTo,
		Timeout: cfg.Timeout,
		Total:   cfg.Total,
	}, c.transferDeps(plan))
	if err != nil {
		return err
	}
	c.handoff.executor, c.handoff.asked = executor, what
	c.story.AddTransfer(cdr.Transfer{
		At: time.Now(), AskedBy: machine.Origin.String(), Target: request.Target.String(), KeySHA256: request.Key.Hash(),
	})
	c.play(c.engine.deps.Hold)
	executor.Begin()
	return nil
}

func (c *Call) transferDeps(p plan) transfer.Deps {
	return transfer.Deps{
		Log: c.log, Observer: transferObserver{c}, Call: transferCall{c}, Watson: c.b, Caller: c.a,
		Method: p.method(c),
	}
}

// plan is what the methods of a transfer will send.
type plan struct {
	request refer.Request
	referTo string
	twiml   string
}

var (
	errUnconfigured = errors.New("not configured")
	errTrunk        = errors.New("the caller comes from an elastic trunk")
)

// fit predicts whether a method can work for this caller and this key, and prepares what it sends:
// what Twilio would reject is not tried.
func (c *Call) fit(method metrics.Method, p *plan) (err error) {
	cfg := c.engine.cfg.Transfer
	if err := p.request.Fits(method, cfg.Carry); err != nil {
		return err
	}
	switch method {
	case metrics.MethodRefer:
		if c.caller.kind != trunk.PV {
			return errTrunk // Twilio itself would dial the target
		}
		var dropped []string
		p.referTo, dropped, err = p.request.ReferTo(cfg.Carry.Form, cfg.Carry.ReferTo)
		if len(dropped) > 0 {
			c.log.Info("dropped for want of room", zap.Strings("headers", dropped))
		}
	case metrics.MethodREST:
		switch {
		case c.engine.deps.Updater == nil:
			return errUnconfigured
		case c.caller.kind != trunk.PV:
			return errTrunk // there is no parent call with TwiML
		}
		p.twiml, err = p.request.TwiML(cfg.Carry.REST)
	case metrics.MethodInvite:
		if c.engine.cfg.Domain == nil {
			return errUnconfigured
		}
	}
	return err
}

// method returns the way that carries the plan out.
func (p plan) method(c *Call) func(metrics.Method, func(refer.Event)) transfer.Method {
	return func(method metrics.Method, report func(refer.Event)) transfer.Method {
		now := c.story.LastTransfer(underWay)
		if word := method.String(); !slices.Contains(now.Tried, word) { // a restored one is tried on
			now.Tried, now.TriedAt = append(now.Tried, word), append(now.TriedAt, time.Now().UTC())
		}
		switch method {
		case metrics.MethodREST:
			return transfer.ByREST{
				Updater: c.engine.deps.Updater, Parent: c.caller.parent, Child: c.caller.sid, TwiML: p.twiml,
				Go: c.beside, Report: report,
			}
		case metrics.MethodInvite:
			return byInvite{call: c, headers: p.request.Headers(), report: report}
		}
		return transfer.ByRefer{Caller: c.a, ReferTo: p.referTo}
	}
}

// refuse counts and logs a transfer that is not carried out, and returns what its REFER hears.
func (c *Call) refuse(err error) (code int, text string) {
	observer := transferObserver{c}
	refusal := &refer.Refusal{Code: 500, Reason: metrics.TransferInternal, Text: "Server Internal Error"}
	errors.As(err, &refusal)
	c.countRefused(refusal.Reason)
	switch {
	case errors.Is(err, refer.ErrMismatch):
		observer.TransferContext(metrics.ContextMismatch)
	case refusal.Reason == metrics.TransferMalformed:
		observer.TransferContext(metrics.ContextRejected)
	}
	c.log.Warn("transfer refused", zap.Int("code", refusal.Code), zap.Error(err))
	return refusal.Code, refusal.Text
}

// countRefused counts a transfer that ended before it began.
func (c *Call) countRefused(why metrics.TransferReason) {
	observer := c.engine.deps.Observer
	observer.TransferStarted()
	observer.TransferEnded(c.id, metrics.MethodNone, why, 0)
	endTransfer(c.story.AddTransfer(cdr.Transfer{At: time.Now()}), metrics.MethodNone, why, 0)
}

// beside runs wait on a goroutine of its own, for at most the time of a method, and what it returns in
// the loop.
func (c *Call) beside(wait func(context.Context) func()) {
	ctx, cancel := context.WithTimeout(context.Background(), c.engine.cfg.Transfer.Timeout)
	c.engine.calls.running.Go(func() { // ends with wait, which ctx bounds
		defer cancel()
		act := wait(ctx)
		c.mail.put(act)
	})
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
	if h.executor == nil || !h.executor.Owes() {
		return nil
	}
	r := h.executor.Record()
	machine, _ := json.Marshal(r.Machine) // plain data: it always marshals
	what, _ := json.Marshal(h.asked)
	t := &journal.Transfer{
		Event: r.Event, ReferTo: r.ReferTo, Machine: machine, Began: r.Began, Since: r.Since, Asked: what,
		Owed: r.Owed, Parting: r.Parting,
	}
	if r.Attempted != metrics.MethodNone {
		t.Attempted = r.Attempted.String()
	}
	return t
}

// transferCall is the call as its transfer sees it.
type transferCall struct{ c *Call }

func (t transferCall) After(d time.Duration, f func()) func() { return t.c.after(d, f) }
func (t transferCall) Promise(act func())                     { t.c.promise(act) }
func (t transferCall) InOrder(act func())                     { t.c.inOrder(act) }
func (t transferCall) Bridge()                                { t.c.bridgeAgent() }
func (t transferCall) Changed()                               { t.c.note() }

// A caller who has nobody left to talk to hears that as often as fills failureTime, each time to its end, and
// no longer than maxFailure.
const failureTime, maxFailure = 3 * time.Second, 30 * time.Second

func failureLasts(clip *tone.Clip) time.Duration {
	once := max(clip.Length(), time.Millisecond)
	return min((failureTime+once-1)/once*once, maxFailure)
}

// EndCaller ends the leg of a caller who has nobody left to talk to, and lets him hear it first.
func (t transferCall) EndCaller(why metrics.TransferReason) {
	reason := metrics.ReasonTransferFailed
	if why.Result() == metrics.Indeterminate {
		reason = metrics.ReasonTransferUnproved
	}
	t.c.ending.because(reason)
	end := func() {
		t.c.talk.close()
		t.c.endCaller()
	}
	if !t.c.play(t.c.engine.deps.Failure) {
		end()
		return
	}
	t.c.after(failureLasts(t.c.engine.deps.Failure), end)
}

func (t transferCall) TransferDone(why metrics.TransferReason) {
	t.c.hush()
	t.c.handoff.ended(why)
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
	t.c.handoff.ended(why)
	if why == metrics.TransferProved {
		t.c.ending.correct(metrics.ReasonTransferred)
	}
}
