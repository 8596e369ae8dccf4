// Package explain tells the story of a call to an operator: what was said, how it sounded, what went wrong and what to do
// about it.
//
// It owns the form in which a story leaves the edge (JSON, in DESIGN's words the API's), the findings and the text for a
// terminal. It does not own what is known of the call: it reads a trace.Story, in which nothing is secret any more, and is
// pure. It implements no RFC.
package explain

import (
	"time"

	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/metrics/trace"
)

// Story is a call as the API tells it. Times are UTC, durations seconds.
type Story struct {
	// Call is its name; empty where an INVITE was refused and no call was born.
	Call string `json:"call"`
	Live bool   `json:"live"`
	// Record is the call detail record; of a live call as far as it is known.
	Record   cdr.Record `json:"record"`
	Messages []Message  `json:"messages"`
	// Dropped messages found no room.
	Dropped  int             `json:"dropped"`
	Quality  []trace.Quality `json:"quality"`
	Findings []Finding       `json:"findings"`
}

// Message is one of the call's.
type Message struct {
	At time.Time `json:"at"`
	// Offset is since the call's first message.
	Offset    float64 `json:"offset"`
	Leg       string  `json:"leg"`
	Direction string  `json:"direction"`
	Peer      string  `json:"peer"`
	Transport string  `json:"transport"`
	Local     string  `json:"local"`
	Remote    string  `json:"remote"`
	Label     string  `json:"label"`
	Detail    string  `json:"detail"`
	// Again tells that it is a retransmission.
	Again bool   `json:"again"`
	Raw   string `json:"raw"` // masked
}

// Severity is how bad a Finding is.
type Severity string

const (
	Error   Severity = "error"   // somebody did not get what he wanted
	Warning Severity = "warning" // it went well, or may have, and something was wrong
	Info    Severity = "info"
)

// Finding is one thing that an operator should know, in a sentence, and what he can do about it, in another.
type Finding struct {
	Severity Severity  `json:"severity"`
	At       time.Time `json:"at,omitzero"`
	What     string    `json:"what"`
	Do       string    `json:"do,omitempty"`
}

// Tell makes the story of what a trace has.
func Tell(t trace.Story) Story {
	s := Story{
		Call: t.Call, Live: t.Call != "" && t.Record.Ended.IsZero(), Record: t.Record, Dropped: t.Dropped, Quality: t.Quality,
		Messages: make([]Message, len(t.Messages)),
	}
	if s.Quality == nil {
		s.Quality = []trace.Quality{}
	}
	for i, d := range trace.Describe(t.Messages) {
		m := t.Messages[i]
		s.Messages[i] = Message{
			At: m.Time.UTC(), Offset: m.Time.Sub(t.Messages[0].Time).Seconds(), Leg: m.Leg, Direction: m.Direction.String(), Peer: m.Peer.String(),
			Transport: m.Transport, Local: m.Local, Remote: m.Remote, Label: d.Label, Detail: d.Detail, Again: d.Again, Raw: string(m.Raw),
		}
	}
	s.Findings = findings(s, t)
	return s
}

// traced is the message as package trace has it.
func (m Message) traced() trace.Message {
	peer, _ := metrics.ParsePeer(m.Peer)
	direction := metrics.In
	if m.Direction == metrics.Out.String() {
		direction = metrics.Out
	}
	return trace.Message{
		Time: m.At, Direction: direction, Peer: peer, Transport: m.Transport, Local: m.Local, Remote: m.Remote, Leg: m.Leg, Raw: []byte(m.Raw),
	}
}
