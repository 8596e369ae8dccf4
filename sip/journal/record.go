// Package journal is what is written down of a call, and where.
//
// It owns the Record, whose structs are its own so that the form on disk changes only on purpose,
// and the Store that keeps records. It knows no call and no leg: b2bua translates. Put never
// blocks; its callback may run on any goroutine.
package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Version is the form that this build writes. An older one is read, a newer one refused. Version 1 knew neither
// what leg C needs, nor legs that ring, nor why a call ends.
const Version = 2

// ErrNewer says that a record was written by a later version.
var ErrNewer = errors.New("record of a newer version")

// Record is everything that a call needs to go on in another process.
type Record struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`
	Started time.Time `json:"started"`
	// Answered is zero before the caller was answered, or was to be as soon as that is written down.
	Answered time.Time `json:"answered,omitzero"`
	Kind     string    `json:"kind"`
	Source   string    `json:"source,omitempty"`
	// AgentFrom and AgentName are what leg C says of the caller.
	AgentFrom string `json:"agent_from,omitempty"`
	AgentName string `json:"agent_name,omitempty"`
	// TwilioSID names leg A at Twilio, TwilioParentSID the caller's own call; "" when unknown.
	TwilioSID       string `json:"twilio_call_sid,omitempty"`
	TwilioParentSID string `json:"twilio_parent_call_sid,omitempty"`
	// Legs are A, then B and C if there are any, then attempts at Watson or an agent that were given up.
	Legs []Leg `json:"legs"`
	// Media is whatever its owner wants back, as a json.RawMessage. It is encoded when the record is, which may be
	// later and elsewhere: it shares nothing with a call.
	Media any `json:"media,omitempty"`
	// Terminated tells that each leg has keys of the edge, or none; Bridged that the caller talks to leg C.
	Terminated bool      `json:"terminated,omitempty"`
	Bridged    bool      `json:"bridged,omitempty"`
	Transfer   *Transfer `json:"transfer,omitempty"`
	// Reason is why the call ends, "" while it goes on, and Ended since when; Outcomes are those of its transfers.
	Reason   string    `json:"reason,omitempty"`
	Ended    time.Time `json:"ended,omitzero"`
	Outcomes []string  `json:"outcomes,omitempty"`
	// CDR is what the call's CDR has to tell so far.
	CDR json.RawMessage `json:"cdr,omitempty"`
}

// Leg is one side of the call.
type Leg struct {
	Name    string   `json:"name"`
	State   string   `json:"state"`
	Peer    string   `json:"peer"`
	Names   []string `json:"names,omitempty"`
	Dialog  Dialog   `json:"dialog"`
	Session Session  `json:"session"`
	// Spare tells that the attempt was given up, and only waits for its end.
	Spare bool `json:"spare,omitempty"`
	// InviteCSeq numbers our INVITE, for its ACK, and InviteBranch is its transaction's, for a CANCEL; zero on a UAS leg.
	InviteCSeq   uint32 `json:"invite_cseq,omitempty"`
	InviteBranch string `json:"invite_branch,omitempty"`
	// Invite is the peer's that waits for our answer, as the transport wants it back; nil where that can't be given any more, or
	// need not. An older build leaves it out, and its peer unanswered.
	Invite json.RawMessage `json:"invite,omitempty"`
	// Refers counts the REFERs that the peer sent, and ReferAccepted is the number of the last that was accepted;
	// ReferSent is the number of our last one.
	Refers        int    `json:"refers,omitempty"`
	ReferAccepted uint32 `json:"refer_accepted,omitempty"`
	ReferSent     uint32 `json:"refer_sent,omitempty"`
	// SessionInterval is that of the leg's session timer, 0 for none; since when, who refreshes, and whether by UPDATE.
	SessionInterval time.Duration `json:"session_interval,omitempty"`
	SessionSince    time.Time     `json:"session_since,omitzero"`
	Refreshes       bool          `json:"refreshes,omitempty"`
	TakesUPDATE     bool          `json:"takes_update,omitempty"`
}

// Dialog is RFC 3261 §12's state.
type Dialog struct {
	Role         string   `json:"role"`
	CallID       string   `json:"call_id"`
	LocalTag     string   `json:"local_tag"`
	RemoteTag    string   `json:"remote_tag"`
	LocalURI     string   `json:"local_uri"`
	LocalName    string   `json:"local_name,omitempty"`
	RemoteURI    string   `json:"remote_uri"`
	RemoteTarget string   `json:"remote_target"`
	RouteSet     []string `json:"route_set,omitempty"`
	Contact      string   `json:"contact"`
	LocalCSeq    uint32   `json:"local_cseq"`
	RemoteCSeq   uint32   `json:"remote_cseq"`
}

// Session is the SDP of a leg: the peer's last as it came, ours last as it went, and the state of
// our o= line.
type Session struct {
	Remote        []byte `json:"remote,omitempty"`
	Local         []byte `json:"local,omitempty"`
	OriginID      uint64 `json:"origin_id,omitempty"`
	OriginVersion uint64 `json:"origin_version,omitempty"`
	OriginSum     uint64 `json:"origin_sum,omitempty"`
}

// Transfer is one transfer under way.
type Transfer struct {
	// Event is the Event header that Watson's subscription carries.
	Event string `json:"event"`
	// ReferTo is what was, or is to be, sent to Twilio; it holds the key.
	ReferTo string          `json:"refer_to"`
	Machine json.RawMessage `json:"machine"`
	Began   time.Time       `json:"began"`
	// Since is when the current method, or the state behind the last one, began.
	Since time.Time `json:"since,omitzero"`
	// Asked is what Watson said, from which the request is read again; it holds the key.
	Asked json.RawMessage `json:"asked,omitempty"`
	// Attempted is the method whose request may have left, "" while none can have. A version 1 does not tell.
	Attempted string `json:"attempted,omitempty"`
	// Owed is the code of a final NOTIFY that Watson has not answered, 0 for none.
	Owed int `json:"owed,omitempty"`
	// Parting tells that the outcome is told and Watson is left a moment to say BYE.
	Parting bool `json:"parting,omitempty"`
}

// DialogID names a dialog as seen from the edge.
type DialogID struct {
	CallID    string `json:"call_id"`
	LocalTag  string `json:"local_tag"`
	RemoteTag string `json:"remote_tag"`
}

// Encode writes a record.
func (r Record) Encode() ([]byte, error) {
	r.Version = Version
	return json.Marshal(r)
}

// Decode reads a record of this version or an older one.
func Decode(data []byte) (Record, error) {
	var read struct {
		Record
		Media json.RawMessage `json:"media"` // in the place of the Record's
	}
	if err := json.Unmarshal(data, &read); err != nil {
		return Record{}, fmt.Errorf("read record: %w", err)
	}
	r := read.Record
	if read.Media != nil {
		r.Media = read.Media
	}
	if r.Version > Version {
		return Record{}, fmt.Errorf("record %s has version %d, this build reads up to %d: %w", r.ID, r.Version, Version, ErrNewer)
	}
	return r, nil
}
