// Package transfer carries out what the machine of package refer decides.
//
// An Executor is one transfer of one call. It turns what happens on the legs into the machine's
// events and the machine's actions into messages, timers and counters; it decides nothing. It runs
// on the goroutine of its call and knows the legs only by the few methods it calls. The ways of moving
// the caller stand behind Method, one file each; their order, what proves success and who hears what
// are the machine's.
//
// RFC 3515 (REFER and NOTIFY), RFC 3420 (sipfrag).
package transfer

import (
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/refer"
	"handoff/sip/leg"
)

const (
	// graceTime is how long a proof may follow the caller's BYE.
	graceTime = time.Second
	// doubtTime is how long Twilio keeps a referred leg that nobody ends (measured), and so how long a
	// BYE may still mean that the transfer has worked.
	doubtTime = 32 * time.Second
	// partingTime is how long Watson may take to say BYE itself after it heard of success.
	partingTime = 2 * time.Second
	// orderTime is how long a final NOTIFY waits for the answer to the one before.
	orderTime = time.Second
	// subscriptionTime is told to Watson as the life of its subscription.
	subscriptionTime = time.Minute
)

// Watson is leg B, which asked for the transfer.
type Watson interface {
	AcceptRefer(*leg.Refer)
	NotifyRefer(r *leg.Refer, state string, body []byte, answered func())
	Bye(reason string)
}

// Caller is leg A, which is to be transferred.
type Caller interface {
	SendRefer(referTo string)
	Bye(reason string)
}

// Method is one way of moving the caller. What becomes of it is reported as the machine's events, on
// the goroutine of the call and not from within Attempt or Cancel.
type Method interface {
	Attempt()
	// Cancel gives up what Attempt began; its outcome is reported all the same.
	Cancel()
}

// Observer counts transfers; it does not block.
type Observer interface {
	TransferStarted()
	TransferEnded(metrics.Method, metrics.TransferReason, time.Duration)
	TransferCorrected(metrics.TransferReason)
	TransferContext(metrics.Context)
	DeadAir(time.Duration)
}

// Call is what the executor asks of its call, all on the call's goroutine.
type Call interface {
	// After runs f when d is over.
	After(d time.Duration, f func()) (stop func())
	// Promise writes the call down and then runs act; InOrder runs act behind all promises made
	// before, at once if there are none.
	Promise(act func())
	InOrder(act func())
	// TransferDone tells the outcome, before the legs are ended because of it; TransferCorrected
	// what an indeterminate one turned out to be.
	TransferDone(metrics.TransferReason)
	TransferCorrected(metrics.TransferReason)
	// EndCaller ends leg A: nobody is left to talk to.
	EndCaller(metrics.TransferReason)
	// Bridge connects leg A with the leg that a method has brought.
	Bridge()
	// Changed writes the call down; nothing waits for that.
	Changed()
}

// Config is fixed for one transfer.
type Config struct {
	Machine refer.Config
	// Refer is Watson's REFER; nil when the transfer was asked for in another way.
	Refer   *leg.Refer
	Request refer.Request
	// ReferTo is what method refer sends; the journal keeps it.
	ReferTo string
	// Timeout bounds one method, Total the chain.
	Timeout, Total time.Duration
}

// Deps are the executor's ways out.
type Deps struct {
	Log      *zap.Logger
	Observer Observer
	Call     Call
	Watson   Watson
	Caller   Caller
	// Method returns a way of moving the caller that reports to report; it is asked for those of
	// Config.Machine.Methods only.
	Method func(m metrics.Method, report func(refer.Event)) Method
}

// Executor is one transfer under way.
type Executor struct {
	cfg  Config
	deps Deps

	// owned by the call's goroutine
	machine *refer.Machine
	methods map[metrics.Method]Method // attempted
	trying  bool                      // the NOTIFY 100 is out and not answered
	held    func()                    // the final NOTIFY, which waits for that answer
	began   time.Time
	since   time.Time // when the current method, or the state behind the last one, began
	proved  time.Time // when the sipfrag that proves the transfer came
	parting bool      // Watson may still say BYE itself
	stops   []func()  // timers
	// attempted is the method whose request may have left, and owed the code of the final NOTIFY that Watson has
	// not answered.
	attempted metrics.Method
	owed      int

	stopMethod func() // that of the current method
}

// New returns a transfer that waits for Begin.
func New(cfg Config, deps Deps) (*Executor, error) {
	machine, err := refer.NewMachine(cfg.Machine)
	if err != nil {
		return nil, err
	}
	return &Executor{cfg: cfg, deps: deps, machine: machine, methods: make(map[metrics.Method]Method), began: time.Now(), stopMethod: func() {}}, nil
}

// Begin accepts Watson's REFER, if there is one, and starts the first method.
func (x *Executor) Begin() {
	x.deps.Observer.TransferStarted()
	x.deps.Log.Info("transfer", zap.Stringer("asked_by", x.cfg.Machine.Origin), zap.Stringers("methods", x.cfg.Machine.Methods),
		zap.String("target", x.cfg.Request.Target.String()), zap.Stringer("key", x.cfg.Request.Key))
	x.step(refer.Start{})
}

// State names where the transfer stands.
func (x *Executor) State() string { return x.machine.State().String() }

// Method is that of the current or last attempt.
func (x *Executor) Method() metrics.Method { return x.machine.Method() }

// Running tells whether the transfer still has to be asked before a leg is ended.
func (x *Executor) Running() bool { return !x.machine.Over() || x.parting }

// OnCallerEnded is told that leg A is over.
func (x *Executor) OnCallerEnded() { x.step(refer.CallerBye{}) }

// OnWatsonEnded is told that leg B is over.
func (x *Executor) OnWatsonEnded() {
	x.parting = false
	x.step(refer.WatsonBye{})
}

// Shutdown tells Watson that the transfer is given up.
func (x *Executor) Shutdown() {
	x.parting, x.trying = false, false
	x.step(refer.Shutdown{})
}

// step gives the machine an event and does what it says.
func (x *Executor) step(e refer.Event) {
	before := x.machine.State()
	actions := x.machine.Step(e)
	if after := x.machine.State(); after != before {
		x.deps.Log.Debug("transfer", zap.Stringer("from", before), zap.Stringer("to", after))
	}
	for _, a := range actions {
		x.do(a)
	}
	if _, answered := e.(refer.NotifyAnswered); answered || x.machine.State() != before {
		x.deps.Call.Changed()
	}
}

func (x *Executor) do(a refer.Action) {
	switch a := a.(type) {
	case refer.Accept:
		x.deps.Call.Promise(func() { x.deps.Watson.AcceptRefer(x.cfg.Refer) })
	case refer.Notify:
		x.notify(a)
	case refer.Attempt:
		x.attempted = a.Method
		x.deps.Call.Promise(func() { x.attempt(a.Method) })
	case refer.CancelAttempt:
		x.deps.Call.InOrder(func() { x.cancel(a.Method) })
	case refer.Bridge:
		x.deps.Call.Bridge()
	case refer.ByeCaller:
		x.byeCaller()
	case refer.ByeWatson:
		x.byeWatson()
	case refer.EndCaller:
		x.deps.Call.EndCaller(a.Reason)
	case refer.StartMethodTimer:
		x.since = time.Now()
		x.stopMethod()
		x.stopMethod = x.after(x.cfg.Timeout, refer.MethodTimeout(a))
	case refer.StartTotalTimer:
		x.after(x.cfg.Total, refer.TotalTimeout{})
	case refer.StartGrace:
		x.after(graceTime, refer.GraceOver{})
	case refer.StartDoubt:
		x.since = time.Now()
		x.after(doubtTime, refer.DoubtOver{})
	case refer.StopTimers:
		x.stopTimers()
	case refer.Done:
		x.done(a)
	case refer.Late:
		x.late(a)
	}
}

func (x *Executor) after(d time.Duration, e refer.Event) (stop func()) {
	stop = x.deps.Call.After(d, func() { x.step(e) })
	x.stops = append(x.stops, stop)
	return stop
}

func (x *Executor) stopTimers() {
	for _, stop := range x.stops {
		stop()
	}
	x.stops = nil
}

func (x *Executor) attempt(m metrics.Method) {
	x.deps.Log.Info("transfer attempt", zap.Stringer("method", m))
	x.methods[m] = x.deps.Method(m, x.step)
	x.methods[m].Attempt()
	x.deps.Call.Changed() // the journal has what was sent, so that its echo is known
}

func (x *Executor) cancel(m metrics.Method) {
	if method := x.methods[m]; method != nil {
		method.Cancel()
	}
}

// notify tells Watson; the final one is a promise, the other only keeps its place.
func (x *Executor) notify(n refer.Notify) {
	body := refer.WriteSipfrag(n.Code, n.Reason)
	if !n.Final {
		x.deps.Call.InOrder(func() { x.notifyTrying(body) })
		return
	}
	x.owed = n.Code
	x.deps.Call.Promise(func() { x.notifyFinal(body) })
}

func (x *Executor) notifyTrying(body []byte) {
	state := refer.Subscription{State: refer.SubscriptionActive, Expires: subscriptionTime}
	x.trying = true
	x.deps.Call.After(orderTime, x.released)
	x.deps.Watson.NotifyRefer(x.cfg.Refer, state.String(), body, x.released)
}

// notifyFinal holds the NOTIFY back while the one before is not answered: over UDP it could overtake.
func (x *Executor) notifyFinal(body []byte) {
	state := refer.Subscription{State: refer.SubscriptionTerminated, Reason: "noresource"}
	send := func() {
		x.deps.Watson.NotifyRefer(x.cfg.Refer, state.String(), body, func() {
			x.owed = 0
			x.step(refer.NotifyAnswered{})
		})
	}
	if x.trying {
		x.held = send
		return
	}
	send()
}

// released sends what was held back, once.
func (x *Executor) released() {
	x.trying = false
	if send := x.held; send != nil {
		x.held = nil
		send()
	}
}

// byeCaller waits for nothing: Twilio leaves the caller in silence until it hears BYE.
func (x *Executor) byeCaller() {
	x.deps.Caller.Bye("")
	if !x.proved.IsZero() {
		x.deps.Observer.DeadAir(time.Since(x.proved))
	}
}

// byeWatson leaves Watson a moment to say BYE itself.
func (x *Executor) byeWatson() {
	x.parting = true
	x.deps.Call.After(partingTime, func() { x.deps.Watson.Bye("") })
	x.deps.Call.Changed()
}

func (x *Executor) done(d refer.Done) {
	took := time.Since(x.began)
	x.deps.Observer.TransferEnded(d.Method, d.Reason, took)
	x.countContext(d.Result)
	x.deps.Log.Info("transfer ended", zap.Stringer("method", d.Method), zap.Stringer("result", d.Result),
		zap.Stringer("reason", d.Reason), zap.Duration("took", took))
	x.deps.Call.TransferDone(d.Reason)
}

func (x *Executor) late(l refer.Late) {
	x.deps.Observer.TransferCorrected(l.Reason)
	x.countContext(l.Result)
	x.deps.Log.Warn("transfer corrected", zap.Stringer("method", l.Method), zap.Stringer("result", l.Result), zap.Stringer("reason", l.Reason))
	x.deps.Call.TransferCorrected(l.Reason)
}

// countContext tells what became of the key. While nothing is proved, nothing is known of it.
func (x *Executor) countContext(r metrics.Result) {
	switch {
	case r == metrics.Indeterminate:
	case x.cfg.Request.Key.Empty():
		x.deps.Observer.TransferContext(metrics.ContextAbsent)
	case r == metrics.Success:
		x.deps.Observer.TransferContext(metrics.ContextDelivered)
	default:
		x.deps.Observer.TransferContext(metrics.ContextRejected)
	}
}
