package b2bua

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"handoff/media"
	"handoff/media/sdp"
	"handoff/media/tone"
	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/refer"
	"handoff/sip/b2bua/transfer"
	"handoff/sip/dialog"
	"handoff/sip/journal"
	"handoff/sip/leg"
	"handoff/sip/trunk"
	"handoff/sip/uri"
)

// Config is data.
type Config struct {
	Trunk trunk.Config
	// Contact returns our Contact value for a leg whose messages travel over transport.
	Contact func(peer metrics.Peer, transport string) string
	// TwilioSRTP and WatsonSRTP tell what either side may offer and answer.
	TwilioSRTP, WatsonSRTP sdp.Policy
	// TerminateSRTP gives each leg keys of the edge instead of passing them.
	TerminateSRTP bool
	// Domain is where leg C goes; nil when that is not configured.
	Domain *Domain
	// WatsonCredentials answer Watson's challenges; nil answers none.
	WatsonCredentials *leg.Credentials
	// WatsonSessionInterval is the session timer that Watson is asked for; 0 asks for none.
	WatsonSessionInterval time.Duration
	// OptionsEvery is how long a dialog is silent before it is asked whether it still stands; 0: never.
	OptionsEvery time.Duration
	// MediaTimeout is how long a leg that is not on hold may send no media before the call ends, MaxDuration how long a
	// call may last once it is answered; 0: for ever.
	MediaTimeout, MaxDuration time.Duration
	Transfer                  TransferConfig
	Limits                    Limits
}

// Domain is a Twilio SIP domain, in which an agent is called.
type Domain struct {
	URI         uri.URI
	Credentials *leg.Credentials
}

// TransferConfig is what happens to Watson's REFER.
type TransferConfig struct {
	Policy refer.Policy
	// Carry is what Twilio takes and how it is talked to.
	Carry   refer.Limits
	Methods []metrics.Method
	// Timeout bounds one method, Total the chain.
	Timeout, Total time.Duration
	// AfterSilence tries the next method although the one before may have worked.
	AfterSilence bool
	// HangupHeader of a BYE names a transfer target; "" is none.
	HangupHeader string
}

// Limits bound what callers can make the edge hold.
type Limits struct {
	Calls            int
	InvitesPerSecond int
	PerSource        int
	// SDP bounds a session description, in bytes; 0: as many as media/sdp reads.
	SDP int
}

// Observer is told what happens to calls. Its methods do not block.
// What has a call tells which one, by its id.
type Observer interface {
	Rejected(metrics.Reject)
	CallStarted()
	CallSetup(call string, took time.Duration)
	CallEnded(call string, why metrics.Reason, lasted time.Duration)
	// As of transfer.Observer.
	TransferStarted()
	TransferEnded(call string, by metrics.Method, why metrics.TransferReason, took time.Duration)
	TransferCorrected(call string, why metrics.TransferReason)
	TransferContext(call string, became metrics.Context)
	DeadAir(call string, lasted time.Duration)
	// HeadersHeld counts headers of a caller that were to go to Watson and could not.
	HeadersHeld(int)
	MailboxFull()
	JournalLate()
	// Recovered tells what became of a call that the process before has left.
	Recovered(metrics.Recovery)
	Packets(metrics.Leg, metrics.Direction, metrics.Path, uint64)
	Lost(metrics.Leg, uint64)
	Jitter(metrics.Leg, float64)
	Foreign(metrics.Leg, metrics.Foreign, uint64)
	// MOS is of a second of what a leg sent, ReportedMOS of what its peer says to have heard.
	MOS(call string, leg metrics.Leg, mos float64)
	ReportedMOS(call string, leg metrics.Leg, mos float64)
	// OneWay counts a leg that is not heard any more.
	OneWay(call string, leg metrics.Leg, why metrics.OneWay)
}

// Deps are the engine's ways out.
type Deps struct {
	Log      *zap.Logger
	Wire     leg.Wire
	Media    *media.Relay
	Journal  journal.Store
	Observer Observer
	// CDR, Trace and Reports may be nil.
	CDR     CDRs
	Trace   Trace
	Reports Reports
	// Ringback is what the caller hears while the agent's phone rings.
	Ringback *tone.Clip
	// Bury answers late messages of a dialog that is over.
	Bury func(dialog.ID)
	// Reopen finds the INVITE again of which leg.ServerTx.Save has written. An error says that it can't be answered any more, or is
	// being answered. May be nil: none can.
	Reopen func([]byte) (leg.ServerTx, error)
	Changeable
}

// CDRs takes the story of each call that ended. It does not block.
type CDRs interface{ Write(cdr.Record) }

// Changeable are those that follow the configuration, and go with it to Reload.
type Changeable struct {
	// Hold is what the caller hears while a transfer runs, and Failure when nobody is left to talk to.
	Hold, Failure *tone.Clip
	// Health knows which targets are up; nil tries them in the order of the configuration.
	Health Health
	// Updater reaches Twilio's API; nil when that is not configured.
	Updater transfer.Updater
}

// Report is what the peer of a leg has said by RTCP.
type Report struct {
	// CallID is the leg's.
	Call, CallID string
	media.EndpointStats
}

// Reports takes what peers report, at most once a second for each leg. It does not block.
type Reports interface{ Reported(Report) }

// Health is told what calls find out about Watson's targets, by their index, and says in which order the
// next call tries them. It does not block.
type Health interface {
	Order() []int
	Answered(target int)
	// Failed: code is 0 when the target said nothing or was not reached.
	Failed(target, code int, retryAfter time.Duration, err error)
}

// anyHealth knows nothing.
type anyHealth int

func (n anyHealth) Order() []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

func (anyHealth) Answered(int)                          {}
func (anyHealth) Failed(int, int, time.Duration, error) {}

// Inbound is a request as the transport hands it over.
type Inbound interface {
	leg.ServerTx
	Peer() metrics.Peer
	Source() netip.AddrPort
	Transport() string
}

// Engine holds the calls.
type Engine struct {
	deps    Deps // but for what is Changeable
	rules   atomic.Pointer[rules]
	calls   registry
	admit   admission
	stories stories
	crew    crew

	crowded rate.Sometimes // tells of calls that are turned away for a limit, once a second
}

// rules are the engine as a call sees it: with the configuration under which the call began, whatever Reload brings.
type rules struct {
	*Engine
	cfg  Config
	deps Deps
}

// New returns an engine that admits calls.
func New(cfg Config, deps Deps) (*Engine, error) {
	if deps.Trace == nil {
		deps.Trace = Untraced{}
	}
	e := &Engine{deps: deps, calls: newRegistry(), admit: newAdmission(cfg.Limits), stories: newStories(), crowded: rate.Sometimes{Interval: time.Second}}
	return e, e.Reload(cfg, deps.Changeable)
}

// Reload lets calls that come from now on follow another configuration. On an error everything stays as it was.
func (e *Engine) Reload(cfg Config, with Changeable) error {
	if err := cfg.Trunk.Validate(); err != nil {
		return fmt.Errorf("trunk: %w", err)
	}
	if with.Health == nil {
		with.Health = anyHealth(len(cfg.Trunk.Targets))
	}
	deps := e.deps
	deps.Changeable = with
	e.rules.Store(&rules{e, cfg, deps})
	e.admit.limit(cfg.Limits)
	return nil
}

// OnRequest takes every request that is no ACK and no CANCEL, on the goroutine that read it; it
// only answers or posts.
func (e *Engine) OnRequest(tx Inbound) {
	req := tx.Request()
	if dialog.ToTag(req) == "" {
		e.onNewRequest(tx)
		return
	}
	call := e.calls.find(req.CallID().Value(), dialog.ToTag(req))
	if call == nil {
		e.refuse(tx, metrics.RejectDialog, 481, "Call/Transaction Does Not Exist")
		return
	}
	switch call.mail.offer(func() { call.onRequest(tx) }) {
	case errFull:
		e.deps.Observer.MailboxFull()
		e.refuse(tx, metrics.RejectMailbox, 503, "Call Overloaded", retryLater)
	case errOver:
		e.onLate(tx)
	}
}

// onLate answers what comes while a call goes, as the transport does afterwards.
func (e *Engine) onLate(tx Inbound) {
	switch tx.Request().Method {
	case sipmsg.BYE, sipmsg.NOTIFY:
		e.refuse(tx, metrics.RejectLate, 200, "OK")
	default:
		e.refuse(tx, metrics.RejectLate, 481, "Call/Transaction Does Not Exist")
	}
}

// onNewRequest takes a request outside any dialog.
func (e *Engine) onNewRequest(tx Inbound) {
	switch req := tx.Request(); req.Method {
	case sipmsg.INVITE:
		e.onInvite(tx)
	case sipmsg.OPTIONS:
		e.onOptions(tx)
	case sipmsg.BYE, sipmsg.NOTIFY, sipmsg.INFO, sipmsg.UPDATE, sipmsg.PRACK:
		e.refuse(tx, metrics.RejectDialog, 481, "Call/Transaction Does Not Exist")
	case sipmsg.REFER:
		e.refuse(tx, metrics.RejectMethod, 403, "Forbidden")
	default:
		e.refuse(tx, metrics.RejectMethod, 405, "Method Not Allowed", [2]string{"Allow", leg.Allow})
	}
}

// onOptions answers a health check; 503 while draining lets the peer look elsewhere.
func (e *Engine) onOptions(tx Inbound) {
	if err := e.Ready(); err != nil {
		e.refuse(tx, metrics.RejectDraining, 503, "Service Unavailable")
		return
	}
	res := tx.Response(200, "OK")
	for _, h := range [][2]string{{"Allow", leg.Allow}, {"Accept", "application/sdp"}} {
		res.AppendHeader(sipmsg.NewHeader(h[0], h[1]))
	}
	e.respond(tx, res)
}

func (e *Engine) onInvite(tx Inbound) {
	if tx.Peer() != metrics.PeerTwilio {
		e.refuse(tx, metrics.RejectSource, 403, "Forbidden")
		return
	}
	if minSE, brief := leg.TooBrief(tx.Request()); brief {
		e.refuse(tx, metrics.RejectExtension, 422, leg.IntervalTooSmall, minSE)
		return
	}
	if !leg.TakesSDP(tx.Request()) {
		e.refuse(tx, metrics.RejectMalformed, 406, "Not Acceptable")
		return
	}
	if err := e.admit.call(tx.Source().Addr()); err != nil {
		e.turnAway(tx, err)
		return
	}
	now := e.rules.Load()
	call, err := newCall(now, tx)
	switch {
	case errors.Is(err, leg.ErrContentType):
		e.refuse(tx, metrics.RejectMalformed, 415, "Unsupported Media Type", [2]string{"Accept", "application/sdp"})
		return
	case errors.Is(err, errNoNumber):
		e.refuse(tx, metrics.RejectMalformed, 404, "Not Found")
		return
	case errors.Is(err, errLongNumber):
		e.refuse(tx, metrics.RejectTooLarge, 414, "Request-URI Too Long")
		return
	case err != nil:
		e.refuse(tx, metrics.RejectMalformed, 400, "Bad Request", warning(now.cfg.Trunk.Public, err))
		return
	}
	if err := e.calls.add(call, now.cfg.Limits.Calls); err != nil {
		e.turnAway(tx, err)
		return
	}
	call.run(call.onInvite)
}

// turnAway answers an INVITE that is well formed and not taken.
func (e *Engine) turnAway(tx Inbound, why error) {
	switch why {
	case errMerged:
		e.refuse(tx, metrics.RejectMerged, 482, "Loop Detected")
	case errLimit:
		e.refuse(tx, metrics.RejectLimit, 503, "Service Unavailable", retryLater)
	default:
		e.refuse(tx, metrics.RejectDraining, 503, "Service Unavailable", retryLater)
	}
}

// retryLater goes with a 503: the caller may come again, or go to another edge at once.
var retryLater = [2]string{"Retry-After", "5"}

// OnACK takes the ACK of a 2xx from an address that speaks for peer.
func (e *Engine) OnACK(req *sipmsg.Request, peer metrics.Peer, from netip.Addr) {
	if call := e.calls.find(req.CallID().Value(), dialog.ToTag(req)); call != nil {
		if call.mail.offer(func() { call.onACK(req, peer, from) }) == errFull {
			e.deps.Observer.MailboxFull() // the 2xx comes again, and so will its ACK
		}
	}
}

// OnStray takes a 2xx of a peer's to an INVITE of which no transaction is known.
func (e *Engine) OnStray(res *sipmsg.Response, from metrics.Peer) {
	if call := e.calls.find(res.CallID().Value(), dialog.FromTag(res)); call != nil {
		_ = call.mail.offer(func() { call.onStray(res, from) }) // it comes again
	}
}

// OnCancel takes the CANCEL of an INVITE that has no final answer; it is answered already.
func (e *Engine) OnCancel(tx Inbound) { e.toLegs(tx, (*leg.Leg).OnCancel) }

// OnLost takes the loss of the connection under such an INVITE, for good.
func (e *Engine) OnLost(tx Inbound) { e.toLegs(tx, (*leg.Leg).OnLost) }

// toLegs lets the leg that holds the transaction know.
func (e *Engine) toLegs(tx Inbound, what func(*leg.Leg, leg.ServerTx)) {
	call := e.calls.find(tx.Request().CallID().Value(), tx.Tag())
	if call == nil {
		return
	}
	call.mail.put(func() { // once a transaction: bounded
		for _, l := range call.legs() {
			what(l, tx)
		}
	})
}

// Ready tells whether new calls are taken.
func (e *Engine) Ready() error {
	if err := e.admit.ready(); err != nil {
		return fmt.Errorf("%w: %d calls left", err, e.Calls())
	}
	return nil
}

// Drain takes no new calls, waits until the others have ended and, when ctx is over first, ends
// them with BYE.
func (e *Engine) Drain(ctx context.Context) {
	e.admit.drain()
	e.calls.close()
	done := make(chan struct{})
	go func() { // ends when the last call does
		e.calls.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	left := e.calls.all()
	e.deps.Log.Info("ending the remaining calls", zap.Int("calls", len(left)))
	for _, call := range left {
		call.mail.put(func() { call.shutdown() })
	}
	select {
	case <-done:
	case <-time.After(shutdownTime):
		for _, call := range e.calls.all() {
			call.mail.put(call.abandon)
		}
		<-done
	}
}

// shutdownTime is how long peers have to answer the BYEs of a shutdown.
const shutdownTime = 2 * time.Second

// Calls counts the calls that are up or being set up.
func (e *Engine) Calls() int { return e.calls.len() }

func (e *Engine) refuse(tx Inbound, why metrics.Reject, code int, reason string, headers ...[2]string) {
	e.deps.Observer.Rejected(why)
	e.deps.Trace.Refused(tx.Request().CallID().Value(), why)
	level := zap.InfoLevel
	switch why {
	case metrics.RejectDialog, metrics.RejectLate: // ordinary behind the end of a call
		level = zap.DebugLevel
	case metrics.RejectLimit: // as many as there are callers
		level = zap.DebugLevel
		e.crowded.Do(func() {
			e.deps.Log.Warn("calls are turned away: a limit is reached", zap.Int("calls", e.Calls()), zap.Stringer("source", tx.Source()))
		})
	}
	e.deps.Log.Log(level, "request refused", zap.Stringer("why", why), zap.Int("code", code),
		zap.String("method", string(tx.Request().Method)), zap.Stringer("source", tx.Source()))
	res := tx.Response(code, reason)
	for _, h := range headers {
		res.AppendHeader(sipmsg.NewHeader(h[0], h[1]))
	}
	e.respond(tx, res)
}

func (e *Engine) respond(tx Inbound, res *sipmsg.Response) {
	if err := tx.Respond(res); err != nil {
		e.deps.Log.Debug("response not sent", zap.Error(err))
	}
}
