package watson

import (
	"context"
	"time"

	"handoff/sip/simulator/digest"
)

// Behaviour is how the assistant takes a call. The zero value: 100, 180, 200 at once.
type Behaviour struct {
	Reject         int           // final response instead of an answer, with what goes before it
	Redirect       []string      // Contacts of a 302, or of the 3xx that Reject is, instead of an answer; nil: none
	RetryAfter     int           // seconds, of a rejection; 0: none
	Silent         bool          // no response at all
	NoTrying       bool          // no 100
	NoRinging      bool          // no 180
	EarlyMedia     bool          // 183 with SDP
	RingFor        time.Duration // before the final response
	Fork           bool          // a second 200 with another To tag follows the first
	Repeat         int           // so many more 200s, although the ACK came
	RefuseReinvite int           // status for the edge's re-INVITEs; 0: 200
	OwnConnection  bool          // requests go over a new connection to the edge's Contact instead of the edge's own
	NotifyStatus   int           // for the edge's NOTIFYs; 0: 200
	NotifyDelay    time.Duration // before a NOTIFY is answered
	Digest         *digest.Style // "enable SIP authentication": the INVITE needs Config's credentials; nil: none
	SetupFailure   string        // "SIP target when a call fails": the call is answered and referred there at once; empty: none
	Tells          string        // host that SDP, headers and reason phrases name wherever they may; empty: nowhere
	Options        int           // status for OPTIONS outside a call; 0: 200
	Reliable       bool          // provisional responses want PRACK (RFC 3262)
	EarlyFork      bool          // a 183 with the SDP of another phone, of another fork, comes before the answer
	SessionExpires time.Duration // the 200 asks for a session timer (RFC 4028), in whole seconds; 0: none
	Refreshes      bool          // the assistant refreshes that; else the edge is to
	Forgetful      bool          // the assistant is to refresh and does not
	NoUpdate       bool          // UPDATE is not in Allow, and answered 405
	First          uint16        // sequence number of the first RTP packet; 0: random, far from its turn
	Asks           string        // realm for which all that the edge sends is asked for credentials, in vain; empty: none
	Events         uint8         // payload type of its own for digits, whatever was offered; 0: the offer's

	// Script runs on its own goroutine once the call is answered. Its context ends with the assistant.
	Script func(context.Context, *Call)
}

// How a call ended, as the assistant saw it.
type How uint8

const (
	Alive           How = iota
	AssistantHungUp     // our BYE
	EdgeHungUp          // the edge's BYE
	Cancelled           // the edge's CANCEL
	Rejected            // our final response
	NotAcknowledged     // no ACK for the 200
	Abandoned           // the assistant was closed, or Vanish
)

var hows = [...]string{"alive", "assistant hung up", "edge hung up", "cancelled", "rejected", "not acknowledged", "abandoned"}

func (h How) String() string { return word(hows[:], int(h)) }

// Hows lists them all.
func Hows() []How {
	all := make([]How, len(hows))
	for i := range all {
		all[i] = How(i)
	}
	return all
}

func word(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return "unknown"
}
