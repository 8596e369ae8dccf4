package b2bua

import (
	"context"
	"time"

	"handoff/media/quality"
	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/metrics/trace"
	"handoff/sip/dialog"
)

// Trace remembers calls for whoever wants to know what became of them. Its methods do not block.
type Trace interface {
	// Bind tells which Call-ID is which leg of which call, before or after its first message.
	Bind(call string, leg metrics.Leg, callID string)
	// Sample tells how a leg was heard since the sample before.
	Sample(call string, leg metrics.Leg, q trace.Sample)
	// Record tells of a call what is known when it begins, and everything when it has ended.
	Record(call string, r cdr.Record)
	// Refused tells why a request with that Call-ID was turned away.
	Refused(callID string, why metrics.Reject)
}

// Untraced remembers nothing.
type Untraced struct{}

func (Untraced) Bind(string, metrics.Leg, string)         {}
func (Untraced) Sample(string, metrics.Leg, trace.Sample) {}
func (Untraced) Record(string, cdr.Record)                {}
func (Untraced) Refused(string, metrics.Reject)           {}

// traceLeg makes a dialog's messages the call's.
func (c *Call) traceLeg(leg metrics.Leg, id dialog.ID) {
	c.engine.deps.Trace.Bind(c.id, leg, id.CallID)
}

// traceCall tells of the call by what it begins with.
func (c *Call) traceCall() {
	r := c.head()
	r.From, r.To = c.story.From, c.story.To // the rest of the story goes on changing
	c.engine.deps.Trace.Record(c.id, r)
}

// traceRestored is both for a call that another process began.
func (c *Call) traceRestored() {
	for _, l := range c.legs() {
		c.traceLeg(l.Name, l.Dialog())
	}
	c.traceCall()
}

// sample tells how each leg was heard since it was called last.
func (c *Call) sample() {
	now := time.Now()
	c.talk.sampled = now
	for _, name := range metrics.Legs() {
		told, then := c.talk.told[name], c.talk.then[name]
		if told == nil {
			continue
		}
		if then == nil {
			then = new(quality.Report)
			c.talk.then[name] = then
		}
		report, before := *told, *then
		if report == before {
			continue
		}
		way := received(report, before)
		q := trace.Sample{
			At: now.UTC(), Received: report.Received - before.Received, Sent: report.Sent - before.Sent,
			Lost: report.Stream.Lost() - min(before.Stream.Lost(), report.Stream.Lost()),
		}
		if q.Received > 0 {
			q.Jitter, q.MOS = way.Jitter.Seconds(), way.MOS()
		}
		if report.Reported.Reports > before.Reported.Reports {
			q.ReportedLost = int64(report.Reported.Lost - before.Reported.Lost)
			q.ReportedJitter, q.RoundTrip = report.Reported.Jitter.Seconds(), report.Reported.RoundTrip.Seconds()
			q.ReportedMOS = reported(report).MOS()
		}
		c.engine.deps.Trace.Sample(c.id, name, q)
		*then = report
	}
}

// Story returns what is known of a live call.
func (e *Engine) Story(ctx context.Context, id string) (Info, cdr.Record, error) {
	type known struct {
		info   Info
		record cdr.Record
	}
	k, err := with(ctx, e, id, func(c *Call) (known, error) { return known{c.info(), c.soFar()}, nil })
	return k.info, k.record, err
}
