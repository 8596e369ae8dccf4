package otel

import (
	"crypto/sha256"
	"slices"
	"strconv"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"handoff/metrics"
	"handoff/metrics/cdr"
)

// TraceID is that of a call: the beginning of the hash of its id, so that who has the one finds the other.
func TraceID(call string) [16]byte {
	sum := sha256.Sum256([]byte(call))
	return [16]byte(sum[:16])
}

// Spans tells of a call that ended: the call, and below it its set-up, each leg, and each transfer with the methods that
// were tried.
func Spans(r cdr.Record) []*tracepb.Span {
	t := &teller{record: r, trace: TraceID(r.Call)}
	root := t.span(nil, "call", tracepb.Span_SPAN_KIND_SERVER, r.Started, r.Ended)
	root.Attributes = attributes(
		text("handoff.call", r.Call), text("handoff.kind", r.Kind), text("handoff.result", r.Result), text("handoff.reason", r.Reason),
		text("handoff.twilio.call_sid", r.TwilioCallSID), text("handoff.twilio.parent_call_sid", r.TwilioParentCallSID),
		seconds("handoff.talked", r.Talked), text("client.address", r.Source),
	)
	root.Status = status(r.Result, r.Reason)
	for _, o := range r.OneWay {
		root.Events = append(root.Events, &tracepb.Span_Event{
			TimeUnixNano: nanoseconds(o.At), Name: "leg is not heard",
			Attributes: attributes(text("handoff.leg", o.Leg), text("handoff.reason", o.Reason), seconds("handoff.lasted", o.Lasted)),
		})
	}
	up := r.Answered
	if up.IsZero() {
		up = r.Ended
	}
	t.span(root, "setup", tracepb.Span_SPAN_KIND_INTERNAL, r.Started, up)
	for i := range r.Legs {
		t.leg(root, i)
	}
	for i := range r.Transfers {
		t.transfer(root, i)
	}
	return t.spans
}

// teller gathers the spans of one call.
type teller struct {
	record cdr.Record
	trace  [16]byte
	spans  []*tracepb.Span
}

// span adds one; parent is nil for the first. What has no times of its own has the call's. Its id follows from its place, so that a
// request that is made twice tells nothing twice.
func (t *teller) span(parent *tracepb.Span, name string, kind tracepb.Span_SpanKind, from, to time.Time) *tracepb.Span {
	if from.IsZero() {
		from = t.record.Started
	}
	if to.IsZero() {
		to = t.record.Ended
	}
	if to.Before(from) {
		to = from
	}
	id := sha256.Sum256([]byte(t.record.Call + " " + strconv.Itoa(len(t.spans))))
	s := &tracepb.Span{
		TraceId: t.trace[:], SpanId: id[:8], Name: name, Kind: kind,
		StartTimeUnixNano: nanoseconds(from), EndTimeUnixNano: nanoseconds(to),
	}
	if parent != nil {
		s.ParentSpanId = parent.SpanId
	}
	t.spans = append(t.spans, s)
	return s
}

func (t *teller) leg(root *tracepb.Span, i int) {
	l := t.record.Legs[i]
	kind := tracepb.Span_SPAN_KIND_CLIENT
	if l.Leg == metrics.LegA.String() {
		kind = tracepb.Span_SPAN_KIND_SERVER
	}
	s := t.span(root, "leg "+l.Leg, kind, l.Started, l.Over)
	s.Attributes = attributes(
		text("handoff.leg", l.Leg), text("sip.call_id", l.CallID), text("server.address", l.Target), text("handoff.ended", l.Ended),
		number("sip.response.status_code", int64(l.Code)),
	)
	if !l.Answered.IsZero() {
		s.Events = append(s.Events, &tracepb.Span_Event{TimeUnixNano: nanoseconds(l.Answered), Name: "answered"})
	}
	if l.Code >= 300 {
		s.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "SIP " + strconv.Itoa(l.Code)}
	}
	// Of several attempts the last is the one that was heard.
	if slices.ContainsFunc(t.record.Legs[i+1:], func(later cdr.Leg) bool { return later.Leg == l.Leg }) {
		return
	}
	for _, m := range t.record.Media {
		if m.Leg == l.Leg {
			s.Attributes = append(s.Attributes, stream("rtp.received", m.Received)...)
			s.Attributes = append(s.Attributes, stream("rtp.sent", m.Sent)...)
			s.Attributes = append(s.Attributes, attributes(seconds("rtp.round_trip", m.RoundTrip))...)
		}
	}
}

func stream(name string, s cdr.Stream) []*commonpb.KeyValue {
	if s.Packets == 0 {
		return nil
	}
	return attributes(
		number(name+".packets", int64(s.Packets)), number(name+".lost", s.Lost), seconds(name+".jitter", s.Jitter), seconds(name+".mos", s.MOS),
	)
}

func (t *teller) transfer(root *tracepb.Span, i int) {
	x := t.record.Transfers[i]
	over := t.record.Ended
	if x.Result != "" {
		over = x.At.Add(time.Duration(x.Took * float64(time.Second)))
	}
	s := t.span(root, "transfer", tracepb.Span_SPAN_KIND_INTERNAL, x.At, over)
	s.Attributes = attributes(
		text("handoff.asked_by", x.AskedBy), text("handoff.target", x.Target), text("handoff.key_sha256", x.KeySHA256),
		text("handoff.method", x.Method), text("handoff.result", x.Result), text("handoff.reason", x.Reason),
		text("handoff.corrected", x.Corrected), text("handoff.context", x.Context), seconds("handoff.dead_air", x.DeadAir),
	)
	s.Status = status(x.Result, x.Reason)
	for n, method := range x.Tried {
		if n >= len(x.TriedAt) { // an older record
			break
		}
		end := over
		if n+1 < len(x.TriedAt) {
			end = x.TriedAt[n+1]
		}
		m := t.span(s, "transfer by "+method, tracepb.Span_SPAN_KIND_CLIENT, x.TriedAt[n], end)
		m.Attributes = attributes(text("handoff.method", method))
		if n+1 < len(x.Tried) { // the next one is tried only behind a failure
			m.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "the next method was tried"}
		} else {
			m.Status = s.Status
		}
	}
}

// status is an error for what the edge or those behind it are answerable for, and for what nobody knows.
func status(result, reason string) *tracepb.Status {
	switch result {
	case metrics.Upstream.String(), metrics.Us.String(), metrics.Indeterminate.String():
		return &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: reason}
	}
	return nil
}

// request is what a collector takes. It has the form of ExportTraceServiceRequest, whose package brings gRPC along.
func request(cfg Config, spans []*tracepb.Span) *tracepb.TracesData {
	return &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: &resourcepb.Resource{Attributes: attributes(
			text("service.name", "handoff"), text("service.instance.id", cfg.Node), text("service.version", cfg.Version),
		)},
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "handoff/metrics/otel", Version: cfg.Version}, Spans: spans}},
	}}}
}

// attributes leaves out those that say nothing.
func attributes(all ...*commonpb.KeyValue) []*commonpb.KeyValue {
	return slices.DeleteFunc(all, func(a *commonpb.KeyValue) bool { return a == nil })
}

// maxText bounds what a peer has named: a Call-ID may be as long as a message.
const maxText = 1 << 10

// text is UTF-8, as protobuf wants it: a name that a peer gave may be any bytes, and one of them would cost all calls that go
// in the same request.
func text(key, value string) *commonpb.KeyValue {
	if value == "" {
		return nil
	}
	value = value[:min(len(value), maxText)]
	value = strings.ToValidUTF8(value, "\uFFFD")
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

func number(key string, value int64) *commonpb.KeyValue {
	if value == 0 {
		return nil
	}
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: value}}}
}

func seconds(key string, value float64) *commonpb.KeyValue {
	if value == 0 {
		return nil
	}
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: value}}}
}

func nanoseconds(at time.Time) uint64 { return uint64(at.UnixNano()) }
