// Package leg is one side of a call: a UAS or UAC over one dialog.
//
// A Leg owns its dialog, its transactions and its timers, and turns SIP into a small vocabulary of
// events (Ringing, Answered, Offered, Referred, Ended …). It opens no socket and has no goroutine:
// messages, transaction results and timers come in on the goroutine of the call that owns it, which
// is the only one that may call any method. What goes out passes through Wire. It does not know the
// other leg, SDP, or why anything happens.
//
// Implemented: RFC 3261 §9 (CANCEL), §13 and §14 (INVITE and re-INVITE, with 491), §15 (BYE),
// RFC 6026 (2xx and its ACK), RFC 3515 (REFER and its NOTIFYs, both roles), RFC 3311 (UPDATE),
// RFC 3262 (100rel, as UAC), RFC 4028 (session timers, both roles).
package leg

import (
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/sip/dialog"
	"handoff/sip/uri"
)

// Timers of RFC 3261 §17.1.1.1.
const (
	T1 = 500 * time.Millisecond
	T2 = 4 * time.Second
	// transactionTime is 64*T1: how long a 2xx waits for its ACK and an INVITE cancelled for its 487.
	transactionTime = 64 * T1
)

// State is where the leg stands.
type State string

const (
	// Idle: a UAC before Invite.
	Idle State = "idle"
	// Calling: INVITE sent or received, no final answer yet.
	Calling State = "calling"
	// Cancelling: a UAC that sent or waits to send CANCEL.
	Cancelling State = "cancelling"
	// Answered: a UAS sent its 2xx and waits for the ACK.
	Answered State = "answered"
	// Up: the dialog is confirmed.
	Up State = "up"
	// Leaving: our BYE is out, or waits for the ACK that RFC 3261 §15 wants before it.
	Leaving State = "leaving"
	// Over: nothing more will be sent.
	Over State = "over"
)

// Config is what a leg needs to know from the start.
type Config struct {
	Name metrics.Leg
	Peer metrics.Peer
	// Contact is our Contact value, with brackets; its scheme is sips where the peer's URI is.
	Contact string
	// Names are the certificate names of which a redialled TLS connection must show one.
	Names []string
	// Credentials answer challenges of this peer; nil answers none.
	Credentials *Credentials
	// Extensions tells the peer, in our INVITE, that it may use reliable provisional responses and session
	// timers. Whether told or not, both are taken.
	Extensions bool
	// SessionInterval is the session timer that our INVITE asks for; 0 asks for none (RFC 4028).
	SessionInterval time.Duration
	// OptionsEvery is how long the dialog is silent before it is asked whether it still stands; 0: never.
	OptionsEvery time.Duration
}

// Deps are a leg's only ways out.
type Deps struct {
	Log  *zap.Logger // the call's
	Wire Wire
	// After runs f on the call's goroutine once d is over, unless stopped before.
	After func(d time.Duration, f func()) (stop func())
	// Emit tells the call what happened, synchronously.
	Emit func(*Leg, Event)
	// Refused counts a request that the leg turned away by itself.
	Refused func(metrics.Reject)
}

// Leg is one side of a call.
type Leg struct {
	Config
	deps Deps

	// owned by the call's goroutine
	state  State
	dialog *dialog.Dialog
	flow   Flow // the connection of the last message; preferred for the next

	invite  inviteRole    // the initial INVITE, as UAS or UAC
	waiting []*twoHundred // 2xx of ours without an ACK yet
	offer   offerState    // the re-INVITE under way, if any
	stray   uint32        // our re-INVITE of which OfferTaken was told last
	refers  referState    // subscriptions, both roles
	timer   sessionTimer
	nonce   *nonce // of the last challenge that was answered
	byeText string // Reason of our BYE, which may have to wait for an ACK
	byeSent bool
	silence silence
}

// inviteRole holds what only one of the two roles has while the initial INVITE lives.
type inviteRole struct {
	server ServerTx // UAS

	client      ClientTx // UAC
	cseq        uint32
	branch      string
	sent        *dialog.Dialog // as the INVITE left it: every fork begins here
	forks       []*fork
	early       *fork           // whose EarlyMedia was told last
	provisional bool            // a 1xx came: CANCEL may be sent
	credentials []sipmsg.Header // of the INVITE: its ACK shows them too
	stopCancel  func()
}

// State returns where the leg stands.
func (l *Leg) State() State { return l.state }

// Dialog returns the identity of the leg's dialog.
func (l *Leg) Dialog() dialog.ID { return l.dialog.ID }

// Numbers returns the last CSeq numbers of the dialog, ours and the peer's.
func (l *Leg) Numbers() (local, remote uint32) { return l.dialog.LocalCSeq, l.dialog.RemoteCSeq }

// Flow returns the connection of the last message; nil for none.
func (l *Leg) Flow() Flow { return l.flow }

// Alive tells whether the dialog can still carry requests.
func (l *Leg) Alive() bool { return l.state == Answered || l.state == Up }

func (l *Leg) emit(e Event) { l.deps.Emit(l, e) }

// log is made when there is something to say, which most legs never have.
func (l *Leg) log() *zap.Logger { return l.deps.Log.With(zap.Stringer("leg", l.Name)) }

// destination is where the dialog's requests go: over the leg's connection while it is open, else
// redialled at the next hop.
func (l *Leg) destination() Destination {
	l.touch()
	hop, err := l.dialog.NextHop()
	if err != nil {
		l.log().Warn("no next hop", zap.Error(err))
	}
	return Destination{Flow: l.flow, URI: hop, Names: l.Names, Peer: l.Peer}
}

// request sends a request in the dialog, and again if its peer asks for credentials. done gets the
// final response or the error, once.
func (l *Leg) request(req *sipmsg.Request, done func(TxEvent)) {
	l.authorizeAhead(req)
	l.attempt(req, 0, done)
}

func (l *Leg) attempt(req *sipmsg.Request, tries int, done func(TxEvent)) {
	l.deps.Wire.Send(req, l.destination(), func(ev TxEvent) {
		l.keepFlow(ev.Flow)
		if ev.Response != nil && ev.Response.IsProvisional() {
			return
		}
		if l.challenged(req, ev, tries, func(next *sipmsg.Request) { l.attempt(next, tries+1, done) }) {
			return
		}
		done(ev)
	})
}

// returns lets answers to a request find its sender again: he must prove to be who he was.
func (c Config) returns(tx ServerTx) { tx.Return(Destination{Names: c.Names, Peer: c.Peer}) }

func (l *Leg) keepFlow(f Flow) {
	if f != nil {
		l.flow = f
	}
}

// over ends the leg for good, once.
func (l *Leg) over(cause Cause) { l.overBy(cause, nil) }

// overBy is over with the headers of the peer's BYE.
func (l *Leg) overBy(cause Cause, headers [][2]string) {
	if l.state == Over {
		return
	}
	l.state = Over
	l.timer.stop()
	for _, w := range l.waiting {
		w.stop()
	}
	l.waiting = nil
	l.stopKeepAlive()
	l.emit(Ended{Cause: cause, Headers: headers})
}

// Wire is the network as a leg sees it. No method blocks. Results reach the leg on the call's
// goroutine, in the order of the wire.
type Wire interface {
	// Send starts a client transaction; sink gets its responses and, at the end, perhaps an error.
	Send(req *sipmsg.Request, to Destination, sink func(TxEvent)) ClientTx
	// SendACK sends the ACK of a 2xx, which has no transaction.
	SendACK(ack *sipmsg.Request, to Destination)
}

// Flow is a connection to the peer; what it is only the transport knows.
type Flow interface {
	Open() bool
	// Host is the name or address, without brackets, that the edge dialled and over TLS has verified; "" for a
	// connection that came in.
	Host() string
}

// Destination tells where a request goes.
type Destination struct {
	Flow  Flow // preferred while open; nil dials
	URI   uri.URI
	Names []string
	Peer  metrics.Peer
	// Branch is the transaction's; "" takes one that never was.
	Branch string
}

// ClientTx is a running client transaction.
type ClientTx interface {
	// Cancel gives up an INVITE: one that has not left never does, one with a provisional response
	// is followed by CANCEL; for one that left and was not answered it does nothing yet.
	Cancel()
	// Terminate forgets the transaction.
	Terminate()
	// Release lets go of whom it tells what comes of it.
	Release()
}

// TxEvent is a response, or the end without one.
type TxEvent struct {
	Response *sipmsg.Response
	Flow     Flow
	Err      error
	// Sent tells, with Err, whether the request may have reached the peer.
	Sent bool
}

// ServerTx is a request of the peer that waits for our answer.
type ServerTx interface {
	// Request returns it; behind the final response only method, number and dialog are sure to be in it.
	Request() *sipmsg.Request
	// Tag is the one To tag of all responses.
	Tag() string
	Response(code int, reason string) *sipmsg.Response
	Respond(*sipmsg.Response) error
	Flow() Flow
	// Return lets the answer go over a new connection when the request's is lost, to the same address, whose
	// certificate must show one of the Names of as.
	Return(as Destination)
	// Received is when the request came in.
	Received() time.Time
	// Save returns what another process needs to answer an INVITE in the place of this one, as JSON; nil where it need not or can't.
	Save() []byte
}
