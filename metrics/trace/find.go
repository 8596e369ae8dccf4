package trace

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"handoff/metrics"
	"handoff/metrics/cdr"
)

// Story is what the Store knows of a call. Nothing in it is secret.
type Story struct {
	// Call is its name; empty for a Call-ID that is no call's, as of one that was refused at once.
	Call string
	// Record is empty for such a one, and of a live call what was known at its start.
	Record   cdr.Record
	Messages []Message // masked
	Dropped  int       // messages for which there was no room
	Quality  []Quality
	Refused  []Refusal // the first requests that were
	// Since is when the process began to keep stories, and Forgotten tells that the messages had to make room for newer calls.
	Since     time.Time
	Forgotten bool
}

// ErrUnknown says that no story has that name.
var ErrUnknown = errors.New("no such call")

// MinPrefix is how much of a call's name stands for it.
const MinPrefix = 6

// Find returns the story of a call by its name or the beginning of that, by a CallSid of Twilio's or by the Call-ID of one
// of its legs. The error wraps ErrUnknown, or tells of how many calls it could be.
func (s *Store) Find(id string) (Story, error) {
	s.mu.Lock()
	of, err := s.findLocked(id)
	if err != nil {
		s.mu.Unlock()
		return Story{}, err
	}
	told := Story{Call: of.call, Record: of.record, Dropped: of.dropped, Since: s.since, Forgotten: of.partial, Refused: slices.Clone(of.refused)}
	for _, leg := range metrics.Legs() {
		if q := of.quality[leg]; q != nil {
			told.Quality = append(told.Quality, Quality{
				Leg: leg.String(), Interval: (time.Duration(q.each) * SampleTime).Seconds(), Samples: slices.Clone(q.samples),
			})
		}
	}
	all := of.copied()
	told.Messages = make([]Message, len(all))
	for i, e := range all {
		told.Messages[i] = e.message()
	}
	s.mu.Unlock()
	maskAll(told.Messages)
	return told, nil
}

// Messages returns the masked messages of a call, as Find finds it.
func (s *Store) Messages(id string) ([]Message, error) {
	told, err := s.Find(id)
	return told.Messages, err
}

func (e entered) message() Message {
	return Message{
		Time: e.Time, Direction: e.Direction, Peer: e.Peer, Transport: e.Transport,
		Local: e.Local.String(), Remote: e.Remote.String(), Leg: e.thread.leg, Raw: e.Raw,
	}
}

func (s *Store) findLocked(id string) (*story, error) {
	if of := s.calls[id]; of != nil {
		return of, nil
	}
	if t := s.threads[id]; t != nil {
		return t.story, nil
	}
	var found []*story
	for name, of := range s.calls {
		if Names(id, name, of.record) {
			found = append(found, of)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: looked through the last %d calls (the process began at %s), by id or its first %d characters, Twilio CallSid and Call-ID, and through %d Call-IDs of requests that became no call",
			ErrUnknown, len(s.calls), s.since.UTC().Format(time.RFC3339), MinPrefix, s.strays.Len())
	case 1:
		return found[0], nil
	}
	// A caller may come twice in his own call: the latest is asked for.
	if slices.ContainsFunc(found, func(of *story) bool { return of.record.TwilioParentCallSID == id }) {
		return slices.MaxFunc(found, func(a, b *story) int { return a.record.Started.Compare(b.record.Started) }), nil
	}
	return nil, fmt.Errorf("%q is the beginning of %d calls: expected more of it", id, len(found))
}

// Names tells whether id is the name of a call, or the beginning of that, or a CallSid in its record.
func Names(id, call string, r cdr.Record) bool {
	begins := len(id) >= MinPrefix && strings.HasPrefix(call, id)
	return begins || id != "" && (call == id || r.TwilioCallSID == id || r.TwilioParentCallSID == id)
}

// Ended returns what is told of the calls that have ended, the newest first.
func (s *Store) Ended() []cdr.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]cdr.Record, 0, s.ended.Len())
	for e := s.ended.Back(); e != nil; e = e.Prev() {
		all = append(all, e.Value.(*story).record)
	}
	return all
}

// callID finds the Call-ID in the head of a message (RFC 3261 §20.8, §7.3.3); nil where there is none.
func callID(raw []byte) []byte {
	raw = bytes.TrimLeft(raw, "\r\n")
	for len(raw) > 0 {
		line := raw
		if end := bytes.IndexByte(raw, '\n'); end >= 0 {
			line, raw = raw[:end], raw[end+1:]
		} else {
			raw = nil
		}
		colon := bytes.IndexByte(line, ':')
		switch {
		case len(line) == 0, len(line) == 1 && line[0] == '\r':
			return nil
		case colon < 0:
			continue
		}
		name := bytes.TrimRight(line[:colon], " \t")
		if len(name) == 1 && name[0]|' ' == 'i' || len(name) == len("Call-ID") && bytes.EqualFold(name, callIDName) {
			return bytes.TrimSpace(line[colon+1:])
		}
	}
	return nil
}

var callIDName = []byte("Call-ID")
