package leg

import (
	"time"

	"handoff/sip/uri"
)

// Event is what a leg tells its call.
type Event interface{ event() }

type (
	// Inviting: a UAC is about to send its INVITE, or to send it again with credentials. Snapshot has what another process
	// needs to end it.
	Inviting struct{}
	// Trying: a UAC got a 100, the peer lives.
	Trying struct{}
	// Ringing: a UAC got a 18x without SDP.
	Ringing struct{ Code int }
	// EarlyMedia: a UAC got a 18x with SDP.
	EarlyMedia struct {
		Code int
		SDP  []byte
	}
	// Connected: a UAC got its 2xx; the ACK is out. SDP is nil when what was told as EarlyMedia last, or
	// agreed on since, is not repeated.
	Connected struct{ SDP []byte }
	// Confirmed: a UAS got the ACK of its 2xx.
	Confirmed struct{}
	// Failed: a UAC got no dialog. Code 0 means that no answer came, or a 2xx that makes no dialog
	// (Answered): Err tells why, and Sent whether the INVITE may have arrived.
	Failed struct {
		Code     int
		Text     string
		Answered bool
		Sent     bool
		Err      error
		// RetryAfter is what a refusal asks for; 0 when it does not.
		RetryAfter time.Duration
		// Contacts are where a 3xx sends the call (RFC 3261 §21.3), as far as they can be read.
		Contacts []uri.NameAddr
	}
	// Unacknowledged: our 2xx got no ACK; BYE is out and Ended will follow.
	Unacknowledged struct{}
	// Offered: the peer re-offers by re-INVITE or UPDATE. Answer or RejectOffer must follow.
	// SDP is nil for a re-INVITE that asks us to offer.
	Offered struct{ SDP []byte }
	// AnsweredInACK: the ACK of an INVITE without SDP brought the answer to our offer; nil if it did not.
	AnsweredInACK struct{ SDP []byte }
	// OfferCancelled: the peer gave its re-INVITE up before it was answered.
	OfferCancelled struct{}
	// OfferAnswered: the peer took our re-INVITE.
	OfferAnswered struct{ SDP []byte }
	// OfferTaken: the peer took a re-INVITE that this process knows nothing of, or has given up.
	OfferTaken struct{}
	// OfferRejected: the peer refused our re-INVITE; the session stays as it was.
	OfferRejected struct{ Code int }
	// RefreshDue: the session timer wants the peer to be offered again what is in force. Refresh must follow.
	RefreshDue struct{}
	// Referred: the peer asks for a transfer. AcceptRefer or RejectRefer must follow.
	Referred struct{ Refer *Refer }
	// ReferAnswered: the final response to our REFER; Code 0 is none, and then Sent tells whether
	// the REFER may have arrived.
	ReferAnswered struct {
		Code int
		Sent bool
		Err  error
	}
	// Notified: a NOTIFY of a REFER's subscription came; it is answered with 200 already. Refer is the
	// number of our last REFER, which Event names with its id if it has one (RFC 3515 §2.4.6).
	Notified struct {
		Received          time.Time
		Event             string
		Refer             uint32
		SubscriptionState string
		ContentType       string
		Body              []byte
	}
	// Ended: nothing more will come of this leg.
	// Headers are those of the peer's BYE: it may name where the other side is to go.
	Ended struct {
		Cause   Cause
		Headers [][2]string
	}
)

func (Inviting) event()       {}
func (Trying) event()         {}
func (Ringing) event()        {}
func (EarlyMedia) event()     {}
func (Connected) event()      {}
func (Confirmed) event()      {}
func (Failed) event()         {}
func (Unacknowledged) event() {}
func (AnsweredInACK) event()  {}
func (OfferCancelled) event() {}
func (Offered) event()        {}
func (OfferAnswered) event()  {}
func (OfferTaken) event()     {}
func (OfferRejected) event()  {}
func (RefreshDue) event()     {}
func (Referred) event()       {}
func (ReferAnswered) event()  {}
func (Notified) event()       {}
func (Ended) event()          {}

// Cause is why a leg ended.
type Cause uint8

const (
	// ByPeer: its BYE.
	ByPeer Cause = iota
	// ByCancel: its CANCEL, before we answered.
	ByCancel
	// ByUs: our BYE, CANCEL or refusal, now over.
	ByUs
	// ByNoACK: our 2xx was never acknowledged; our BYE is over.
	ByNoACK
	// ByLoss: the sender of an unanswered INVITE is not reached any more, or the peer no longer knows the
	// dialog.
	ByLoss
	// ByTimer: the session timer ran out; our BYE is out.
	ByTimer
)

var causes = [...]string{"peer", "cancel", "us", "no_ack", "loss", "session_timer"}

func (c Cause) String() string { return causes[c] }
