package transfer

import (
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/refer"
)

// Record is what must be written down of a transfer under way.
type Record struct {
	Event   string
	ReferTo string
	Machine refer.Snapshot
	Began   time.Time
	// Since is when the current method, or the state behind the last one, began.
	Since time.Time
	// Attempted is the method whose request may have left. It is written down before that does.
	Attempted metrics.Method
	// Owed is the code of a final NOTIFY that Watson has not answered, 0 for none.
	Owed int
	// Parting tells that Watson is left a moment to say BYE.
	Parting bool
}

// Record returns the transfer as it stands.
func (x *Executor) Record() Record {
	event := ""
	if x.cfg.Refer != nil {
		event = x.cfg.Refer.Event()
	}
	return Record{
		Event: event, ReferTo: x.cfg.ReferTo, Machine: x.machine.Snapshot(), Began: x.began, Since: x.since,
		Attempted: x.attempted, Owed: x.owed, Parting: x.parting,
	}
}

// Over tells whether nothing of the transfer is left: no proof can come any more that would change it.
func (x *Executor) Over() bool {
	return x.machine.State() == refer.StateOver && x.owed == 0 && !x.parting
}

// Owes tells whether something of the transfer is still to be written down.
func (x *Executor) Owes() bool { return x.Running() || x.owed != 0 }

// soon is how long what Twilio had to say while nobody was here may take to arrive: until then no timer that has run
// out meanwhile fires.
const soon = 2 * time.Second

// Restore returns the transfer of a record, which waits for Resume. Of cfg.Machine nothing is taken.
func Restore(cfg Config, deps Deps, r Record) (*Executor, error) {
	machine, err := refer.Restore(r.Machine)
	if err != nil {
		return nil, err
	}
	return &Executor{
		cfg: cfg, deps: deps, machine: machine, methods: make(map[metrics.Method]Method), stopMethod: func() {},
		began: r.Began, since: r.Since, attempted: r.Attempted, owed: r.Owed, parting: r.Parting,
	}, nil
}

// Resumer is a Method that can find out what became of a request that another process has sent. Of one that can't, the
// peer's own word is waited for.
type Resumer interface{ Resume() }

// Resume goes on where the record stops. What may have been sent is not sent again but for the final NOTIFY: one that
// comes twice is refused, one that never comes leaves Watson in doubt. It says the same as the first one, with a higher number
// (leg.Restore): the first one's would stand for another request in the same place (RFC 3261 §12.2.2), of which a peer may make
// anything. Who has heard the first one has no subscription any more and says 481 (RFC 6665 §4.1.3), or 200; either counts as heard, and
// ends neither dialog nor call.
func (x *Executor) Resume() {
	x.deps.Log.Info("transfer goes on", zap.Stringer("state", x.machine.State()), zap.Stringer("method", x.Method()))
	owed := x.owed // not what is owed by what follows
	switch x.machine.State() {
	case refer.StateAsking, refer.StateWaiting, refer.StateCanceling:
		x.deps.Observer.TransferStarted()
		x.after(left(x.began, x.cfg.Total), refer.TotalTimeout{})
		x.stopMethod = x.after(left(x.since, x.cfg.Timeout), refer.MethodTimeout{Method: x.Method()})
		x.resumeMethod()
	case refer.StateGrace:
		x.deps.Observer.TransferStarted()
		x.after(graceTime, refer.GraceOver{})
		x.resolve(x.Method())
	case refer.StateUnproved:
		x.after(left(x.since, doubtTime), refer.DoubtOver{})
	}
	switch {
	case owed != 0:
		x.notifyFinal(refer.WriteSipfrag(owed, ""))
	case x.machine.State() == refer.StateClosing && x.owed == 0:
		x.step(refer.NotifyAnswered{})
	case x.parting:
		x.byeWatson()
	}
}

// resumeMethod finds out what became of the current method. An INVITE can't be gone on with, so its leg is ended by
// the call: it holds no caller.
func (x *Executor) resumeMethod() {
	current := x.Method()
	switch {
	case x.attempted != current:
		x.deps.Call.InOrder(func() { x.step(refer.Unsent{Method: current}) })
	case current == metrics.MethodInvite:
		x.deps.Call.InOrder(func() { x.step(refer.Disproved{Method: current}) })
	default:
		x.resolve(current)
	}
}

// resolve asks what became of a request, unless that is known or can't be asked. The caller's BYE may have come before the answer.
func (x *Executor) resolve(m metrics.Method) {
	x.methods[m] = x.deps.Method(m, x.step)
	if r, able := x.methods[m].(Resumer); able && x.machine.State() != refer.StateWaiting {
		r.Resume()
	}
}

// left is what remains of a time that began then.
func left(began time.Time, whole time.Duration) time.Duration {
	return min(whole, max(soon, whole-time.Since(began)))
}
