// Package cdr keeps the story of every call that ended: one line of JSON each, in a file that is rotated, or on standard
// output.
//
// It owns the form of a Record, which is documented in README and changes only on purpose, and the Writer that appends
// Records. It does not know how a call is told: b2bua fills the Record and keeps what is known so far in the journal. Write may
// be called from any goroutine and never blocks. It implements no RFC.
package cdr

import (
	"slices"
	"time"
)

// Version is that of the form. A field may be added under the same one.
const Version = 1

// Record is a call that ended. Times are UTC, durations seconds, names and reasons words of package metrics.
type Record struct {
	Version int    `json:"version"`
	Node    string `json:"node"`
	Call    string `json:"call"` // as in the log
	// Started is when the caller's INVITE came, Answered when he got his 200 (absent: never) and Ended when it was over.
	Started  time.Time `json:"started"`
	Answered time.Time `json:"answered,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Duration float64   `json:"duration_seconds"`
	Talked   float64   `json:"talked_seconds"`
	// Result is who is answerable for the end, Reason why it came: metrics.Result and metrics.Reason.
	Result string `json:"result,omitempty"`
	Reason string `json:"reason,omitempty"`
	Kind   string `json:"kind"` // of leg A: pv, trunk
	Source string `json:"source"`
	// TwilioCallSID names leg A at Twilio, TwilioParentCallSID the caller's own call there.
	TwilioCallSID       string `json:"twilio_call_sid,omitempty"`
	TwilioParentCallSID string `json:"twilio_parent_call_sid,omitempty"`
	Story
	Media []Media `json:"media,omitempty"`
}

// Story is what is told of a call while it goes on.
type Story struct {
	// From and To are the user parts of the caller's From and of what he dialled.
	From      string     `json:"from"`
	To        string     `json:"to"`
	Legs      []Leg      `json:"legs,omitempty"`
	Transfers []Transfer `json:"transfers,omitempty"`
	OneWay    []OneWay   `json:"one_way,omitempty"`
}

// Leg is one side of the call, or one attempt at it: Watson's next target is another.
type Leg struct {
	Leg    string `json:"leg"`
	CallID string `json:"call_id"`
	// Target is the host that was called, absent for the caller's leg.
	Target string `json:"target,omitempty"`
	// Code is the final response to its INVITE, absent if there was none.
	Code int `json:"code,omitempty"`
	// Error is why there was none.
	Error string `json:"error,omitempty"`
	// Ended is by whom or by what it ended: peer, cancel, us, no_ack, loss, session_timer.
	Ended string `json:"ended,omitempty"`
	// Started is when its INVITE came or was to go out, Answered when it was answered, and Over when it had ended; each is
	// absent if that has not been.
	Started  time.Time `json:"started,omitzero"`
	Answered time.Time `json:"answered,omitzero"`
	Over     time.Time `json:"over,omitzero"`
}

// Transfer is one that Watson or an operator has asked for.
type Transfer struct {
	At      time.Time `json:"at"`
	AskedBy string    `json:"asked_by,omitempty"` // refer, hangup, operator; absent if it was refused at once
	Target  string    `json:"target,omitempty"`
	// KeySHA256 is the beginning of the session history key's hash, as in the log; absent without a key.
	KeySHA256 string `json:"key_sha256,omitempty"`
	// Tried are the methods in their order, Method the last of them.
	Tried  []string `json:"tried,omitempty"`
	Method string   `json:"method,omitempty"`
	// TriedAt is when each of Tried began.
	TriedAt []time.Time `json:"tried_at,omitempty"`
	// Result and Reason are metrics.TransferReason's; absent if the call ended before.
	Result string `json:"result,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Corrected is the reason that an indeterminate one turned out to have.
	Corrected string  `json:"corrected,omitempty"`
	Context   string  `json:"context,omitempty"` // what became of the key: metrics.Context
	Took      float64 `json:"took_seconds"`
	DeadAir   float64 `json:"dead_air_seconds,omitempty"`
}

// OneWay is a time during which a leg was not heard.
type OneWay struct {
	Leg    string    `json:"leg"`
	Reason string    `json:"reason"` // metrics.OneWay
	At     time.Time `json:"at"`     // when it was noticed
	Lasted float64   `json:"lasted_seconds"`
}

// Media is the audio of one leg.
type Media struct {
	Leg string `json:"leg"`
	// Path is what carried it last: metrics.Path.
	Path string `json:"path,omitempty"`
	// Received is what the leg sent, as the edge got it; Sent what it was sent, as its peer reports it by RTCP: without
	// reports only the packets are known.
	Received Stream `json:"received"`
	Sent     Stream `json:"sent"`
	// RoundTrip is from the edge to the peer and back, absent if it is not known.
	RoundTrip float64 `json:"round_trip_seconds,omitempty"`
	Digits    uint64  `json:"digits,omitempty"`
	// Dropped are packets that were not forwarded, by metrics.Foreign.
	Dropped map[string]uint64 `json:"dropped,omitempty"`
}

// Stream is one direction.
type Stream struct {
	Packets uint64  `json:"packets"`
	Lost    int64   `json:"lost"`
	Jitter  float64 `json:"jitter_seconds"`
	// MOS is 1 to 4.41 (ITU-T G.107, G.711), absent if nothing is known.
	MOS float64 `json:"mos,omitempty"`
}

// bound is how many legs, transfers and times without audio a Record tells of: peers may make as many as they like.
const bound = 64

// add appends to a list that is bounded and returns where it stands. What finds no room is told to nobody.
func add[T any](list *[]T, v T) *T {
	if len(*list) == bound {
		return &v
	}
	*list = append(*list, v)
	return &(*list)[len(*list)-1]
}

// Clone returns a copy that shares nothing with s.
func (s Story) Clone() Story {
	s.Legs, s.Transfers, s.OneWay = slices.Clone(s.Legs), slices.Clone(s.Transfers), slices.Clone(s.OneWay)
	for i := range s.Transfers {
		s.Transfers[i].Tried = slices.Clone(s.Transfers[i].Tried)
		s.Transfers[i].TriedAt = slices.Clone(s.Transfers[i].TriedAt)
	}
	return s
}

// OnLeg returns the entry of a leg, a new one, started at that time, at its first mention.
func (s *Story) OnLeg(name, callID string, at time.Time) *Leg {
	for i := range s.Legs {
		if s.Legs[i].CallID == callID {
			return &s.Legs[i]
		}
	}
	return add(&s.Legs, Leg{Leg: name, CallID: callID, Started: at.UTC()})
}

// AddTransfer begins the entry of a transfer.
func (s *Story) AddTransfer(t Transfer) *Transfer {
	t.At = t.At.UTC()
	return add(&s.Transfers, t)
}

// LastTransfer returns the last entry of which holds is true; what is written to that of none is lost.
func (s *Story) LastTransfer(holds func(Transfer) bool) *Transfer {
	for i := range slices.Backward(s.Transfers) {
		if holds(s.Transfers[i]) {
			return &s.Transfers[i]
		}
	}
	return &Transfer{}
}

// Unheard begins a time during which a leg is not heard.
func (s *Story) Unheard(leg, reason string, at time.Time) {
	add(&s.OneWay, OneWay{Leg: leg, Reason: reason, At: at.UTC(), Lasted: lasting})
}

// lasting stands for a time that is not over.
const lasting = -1

// HeardAgain ends such a time, if there is one that lasts.
func (s *Story) HeardAgain(leg, reason string, at time.Time) {
	for i := range s.OneWay {
		if o := &s.OneWay[i]; o.Leg == leg && o.Reason == reason && o.Lasted == lasting {
			o.Lasted = at.Sub(o.At).Seconds()
		}
	}
}

// End ends what lasts.
func (s *Story) End(at time.Time) {
	for i := range s.OneWay {
		s.HeardAgain(s.OneWay[i].Leg, s.OneWay[i].Reason, at)
	}
}
