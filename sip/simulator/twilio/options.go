package twilio

import (
	"cmp"
	"strings"
	"time"

	"handoff/sip/simulator/digest"
	"handoff/sip/simulator/wire"
)

// Options of one call. The zero value is a caller of whom nothing special is known.
type Options struct {
	From           string        // caller's number; empty: +15005550001
	Name           string        // CNAM, which stands in From, Contact and P-Asserted-Identity; empty: none
	Anonymous      bool          // From shows nobody; P-Asserted-Identity and Contact have the number all the same
	Privacy        string        // Privacy header, as "id;critical"; empty: none
	Headers        []wire.Header // further ones of the INVITE
	Tells          string        // host that SDP and further headers name wherever they may; empty: nowhere
	Codecs         []uint8       // empty: PCMU, PCMA
	Voice          uint32        // names the speaker; 0: random
	First          uint16        // sequence number of the first RTP packet; 0: random, far from its turn
	Report         time.Duration // between RTCP reports; 0: none
	Loss           uint8         // of a hundred packets of the caller so many are lost on their way to the edge
	Events         uint8         // payload type of its own for digits; 0: 101, and in answers that of the offer
	Mux            bool          // the offer wants RTCP on the port of RTP
	NAT            bool          // the caller's media come from another port than his SDP says, and are taken there
	Streams        []string      // further m-lines of its offers, as "video 40000 RTP/AVP 31"
	CutAfter       time.Duration // so long after the answer the connection ends without close_notify; 0: never
	RefuseReinvite int           // status for the edge's re-INVITEs; 0: 200
	Twnat          bool          // responses over another connection than the INVITE's have Record-Routes with twnat, good for that transaction only
	LateOffer      bool          // the INVITE has no SDP; the ACK answers what the 200 offers
	SessionExpires string        // of the INVITE, which then says Supported: timer; empty: none
	Asks           string        // realm for which all that the edge sends in the dialog is asked for credentials, in vain; empty: none
	Refer          Refer
}

// shows is what a callee may know of the caller's number.
func (o Options) shows() string {
	if o.Anonymous || o.Privacy != "" {
		return "anonymous"
	}
	return o.From
}

// named puts the caller's name before a URI; without one it is that of last resort.
func (o Options) named(resort, uri string) string {
	name := cmp.Or(o.Name, resort)
	if name == "" {
		return uri
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `" ` + uri
}

// Refer is how Twilio treats the edge's REFER. The zero value is a transfer that works.
type Refer struct {
	Silent       bool          // no response at all
	Status       int           // refused with this; 0: 202
	Error        string        // X-Twilio-Error of the refusal, as "32204 Invalid Caller ID"; empty: none
	AnswerDelay  time.Duration // before the response to the REFER
	TryingDelay  time.Duration // between the 202 and the first NOTIFY
	TooLong      TooLong       // what becomes of a Refer-To above 256 characters
	ByeCrossing  bool          // a BYE leaves at the moment the REFER comes
	Then         Then          // what follows the 202
	Final        int           // code of the last NOTIFY; 0: 200 when the webhooks made a task, else 503
	Challenge    *Digest       // the REFER needs credentials, those of Config.Username; nil: none
	Before202    bool          // the last NOTIFY overtakes the 202
	Terminated   bool          // Subscription-State is terminated on the 100 already
	LowCSeq      bool          // NOTIFYs count from 1, as was seen live
	RepeatCSeq   bool          // the last NOTIFY has the number of the one before
	EventID      bool          // Event: refer;id=CSeq
	OtherID      bool          // the last NOTIFY has the id of another REFER
	Sipfrag      string        // body of the last NOTIFY; empty: one that tells its code
	AfterBye     bool          // the last NOTIFY follows the BYE
	Hangup       Hangup        // who ends the leg after a NOTIFY 200
	PatienceTime time.Duration // how long Twilio waits for the edge's BYE; 0: 32 s
	Delay        time.Duration // between NOTIFY 100 and the outcome; of Before202 between the outcome and the 202, cut short by the edge's BYE
}

func (r Refer) patience() time.Duration {
	if r.PatienceTime == 0 {
		return 32 * time.Second
	}
	return r.PatienceTime
}

// Digest is how credentials are asked for.
type Digest = digest.Style

// TooLong says what becomes of a Refer-To that is too long. Twilio does not tell.
type TooLong uint8

const (
	RejectLong TooLong = iota // 400
	TruncateLong
	AcceptLong
)

// Then is what follows the 202.
type Then uint8

const (
	Transfer   Then = iota // NOTIFY 100, webhooks, last NOTIFY
	Nothing                // no NOTIFY, no BYE; the webhooks are not called
	OnlyTrying             // NOTIFY 100 and no more
	OnlyBye                // a BYE without any NOTIFY; the webhooks were called
)

// Hangup is who ends the leg after a NOTIFY 200.
type Hangup uint8

const (
	TwilioAtOnce  Hangup = iota
	AfterPatience        // Twilio, unless the edge did within PatienceTime
)

var (
	tooLongs = [...]string{"reject", "truncate", "accept"}
	thens    = [...]string{"transfer", "nothing", "only trying", "only bye"}
	hangups  = [...]string{"twilio at once", "after patience"}
)

// TooLongs lists them all.
func TooLongs() []TooLong { return []TooLong{RejectLong, TruncateLong, AcceptLong} }

// Thens lists them all.
func Thens() []Then { return []Then{Transfer, Nothing, OnlyTrying, OnlyBye} }

// Hangups lists both.
func Hangups() []Hangup { return []Hangup{TwilioAtOnce, AfterPatience} }

func (t TooLong) String() string { return word(tooLongs[:], int(t)) }
func (t Then) String() string    { return word(thens[:], int(t)) }
func (h Hangup) String() string  { return word(hangups[:], int(h)) }

func word(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return "unknown"
}

// How a call ended, as Twilio saw it.
type How uint8

const (
	Alive        How = iota
	CallerHungUp     // our BYE
	EdgeHungUp       // the edge's BYE
	Cancelled        // our CANCEL, 487
	Rejected         // a final response from 300 up
	Transferred      // a BYE, of either side, after a NOTIFY 200
	CrossedByBye     // our BYE while the REFER's outcome was not told
	NoAnswer         // no response, or no way to send one
	Abandoned        // the account was closed, or Vanish
	Redirected       // a BYE, of either side, because the REST API took the caller elsewhere
	AgentHungUp      // our BYE, on a leg to a SIP domain
	Dropped          // our BYE after a REFER that failed, of a Dial without answerOnBridge
)

var hows = [...]string{
	"alive", "caller hung up", "edge hung up", "cancelled", "rejected", "transferred", "crossed by bye", "no answer", "abandoned",
	"redirected", "agent hung up", "dropped",
}

func (h How) String() string { return word(hows[:], int(h)) }

// Hows lists them all.
func Hows() []How {
	all := make([]How, len(hows))
	for i := range all {
		all[i] = How(i)
	}
	return all
}

// Ending is how a call ended.
type Ending struct {
	How    How
	Status int    // of a rejection
	ByEdge bool   // whose BYE it was
	Reason string // Reason header of the edge's BYE, or an error
}
