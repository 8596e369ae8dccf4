package b2bua

import (
	"encoding/json"
	"slices"
	"time"

	"handoff/media/quality"
	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/sip/leg"
)

// tellLeg notes in the CDR what happened on a leg.
func (c *Call) tellLeg(l *leg.Leg, ev leg.Event) {
	switch ev := ev.(type) {
	case leg.Connected:
		entry := c.entry(l)
		entry.Code, entry.Answered = 200, time.Now().UTC()
	case leg.Failed:
		entry := c.entry(l)
		entry.Code, entry.Over = ev.Code, time.Now().UTC()
		if ev.Err != nil {
			entry.Error = shortened(ev.Err.Error())
		}
	case leg.Ended:
		entry := c.entry(l)
		entry.Over = time.Now().UTC()
		entry.Ended = ev.Cause.String()
		if unanswered := ev.Cause == leg.ByCancel || ev.Cause == leg.ByLoss; unanswered && entry.Code == 0 && l == c.a {
			entry.Code = 487
		}
	}
}

// shortened bounds what is told of an error, which may quote a peer.
func shortened(text string) string { return text[:min(len(text), 200)] }

// entry is the CDR's of a leg.
func (c *Call) entry(l *leg.Leg) *cdr.Leg {
	return c.story.OnLeg(l.Name.String(), l.Dialog().CallID, time.Now())
}

// callID is that of a leg as the CDR has it: of several attempts the last one's.
func (c *Call) callID(name metrics.Leg) string {
	for _, l := range slices.Backward(c.story.Legs) {
		if l.Leg == name.String() {
			return l.CallID
		}
	}
	return ""
}

// transferObserver tells the engine's Observer whose transfer it is, and the CDR what becomes of it.
type transferObserver struct{ c *Call }

func (t transferObserver) TransferStarted() { t.c.engine.deps.Observer.TransferStarted() }

func (t transferObserver) TransferEnded(m metrics.Method, why metrics.TransferReason, took time.Duration) {
	t.c.engine.deps.Observer.TransferEnded(t.c.id, m, why, took)
	endTransfer(t.c.story.LastTransfer(underWay), m, why, took)
}

func endTransfer(t *cdr.Transfer, m metrics.Method, why metrics.TransferReason, took time.Duration) {
	t.Method, t.Result, t.Reason, t.Took = m.String(), why.Result().String(), why.String(), took.Seconds()
}

func underWay(t cdr.Transfer) bool { return t.Result == "" }

func (t transferObserver) TransferCorrected(why metrics.TransferReason) {
	t.c.engine.deps.Observer.TransferCorrected(t.c.id, why)
	t.c.story.LastTransfer(unproved).Corrected = why.String()
}

func unproved(t cdr.Transfer) bool {
	return t.Result == metrics.Indeterminate.String() && t.Corrected == ""
}

func (t transferObserver) TransferContext(became metrics.Context) {
	t.c.engine.deps.Observer.TransferContext(t.c.id, became)
	t.c.story.LastTransfer(func(t cdr.Transfer) bool { return t.Reason != metrics.TransferBusy.String() }).Context = became.String()
}

func (t transferObserver) DeadAir(d time.Duration) {
	t.c.engine.deps.Observer.DeadAir(t.c.id, d)
	t.c.story.LastTransfer(func(cdr.Transfer) bool { return true }).DeadAir = d.Seconds()
}

// recordStory is the CDR so far, for the journal.
func (c *Call) recordStory() json.RawMessage {
	story, _ := json.Marshal(c.story) // plain data: it always marshals
	return story
}

// tell writes the CDR, of which the trace keeps a copy.
func (c *Call) tell(duration, talked time.Duration) {
	c.story.End(c.ending.ended)
	r := c.head()
	r.Ended, r.Duration, r.Talked = c.ending.ended, duration.Seconds(), talked.Seconds()
	r.Result, r.Reason = c.ending.reason.Result().String(), c.ending.reason.String()
	r.Story, r.Media = c.story, c.media()
	if c.engine.deps.CDR != nil {
		c.engine.deps.CDR.Write(r)
	}
	c.engine.deps.Trace.Record(c.id, r)
}

// head is what a CDR says of the call that does not change.
func (c *Call) head() cdr.Record {
	return cdr.Record{
		Version: cdr.Version, Call: c.id, Started: c.ending.started.UTC(), Answered: c.ending.answered.UTC(),
		Kind: string(c.caller.kind), Source: c.caller.source,
		TwilioCallSID: c.caller.sid, TwilioParentCallSID: c.caller.parent,
	}
}

// soFar is the CDR of a call that goes on. Nothing in it is shared with the call.
func (c *Call) soFar() cdr.Record {
	r := c.head()
	r.Duration = time.Since(c.ending.started).Seconds()
	if !c.ending.answered.IsZero() {
		r.Talked = time.Since(c.ending.answered).Seconds()
	}
	r.Story, r.Media = c.story.Clone(), c.media()
	return r
}

// media is what was heard, by leg.
func (c *Call) media() (all []cdr.Media) {
	for _, name := range metrics.Legs() {
		if report := c.talk.told[name]; report != nil {
			m := mediaOf(name, *report)
			m.Path = c.talk.path.String()
			all = append(all, m)
		}
	}
	return all
}

func mediaOf(name metrics.Leg, r quality.Report) cdr.Media {
	m := cdr.Media{
		Leg:      name.String(),
		Received: cdr.Stream{Packets: r.Received, Lost: int64(r.Stream.Lost()), Jitter: r.Stream.Jitter().Seconds()},
		Sent:     cdr.Stream{Packets: r.Sent, Lost: int64(r.Reported.Lost), Jitter: r.Reported.Jitter.Seconds()},
		Digits:   r.Events, RoundTrip: r.Reported.RoundTrip.Seconds(),
	}
	if r.Received > 0 {
		m.Received.MOS = received(r, quality.Report{}).MOS()
	}
	if r.Reported.Reports > 0 {
		m.Sent.MOS = quality.Way{
			Loss: share(uint64(max(r.Reported.Lost, 0)), r.Sent), Jitter: r.Reported.Jitter, RoundTrip: r.Reported.RoundTrip,
		}.MOS()
	}
	for i, n := range r.Foreign {
		if n > 0 {
			if m.Dropped == nil {
				m.Dropped = make(map[string]uint64)
			}
			m.Dropped[metrics.Foreign(i).String()] = n
		}
	}
	return m
}
