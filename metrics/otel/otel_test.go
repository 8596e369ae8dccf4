package otel

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"
	"google.golang.org/protobuf/proto"

	"handoff/metrics"
	"handoff/metrics/cdr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// a transfer by two methods, behind a target that was refused.
var moved = cdr.Record{
	Call: "call-1", Started: noon, Answered: noon.Add(time.Second), Ended: noon.Add(time.Minute), Duration: 60, Talked: 59,
	Result: "success", Reason: "transferred", Kind: "pv", Source: "192.0.2.1", TwilioCallSID: "CA1",
	Story: cdr.Story{
		From: "+15005550001", To: "+18885557777",
		Legs: []cdr.Leg{
			{Leg: "a", CallID: "a@1", Code: 200, Ended: "us", Started: noon, Answered: noon.Add(time.Second), Over: noon.Add(time.Minute)},
			{Leg: "b", CallID: "b@1", Target: "one.example", Code: 503, Started: noon, Over: noon.Add(100 * time.Millisecond)},
			{Leg: "b", CallID: "b@2", Target: "two.example", Code: 200, Started: noon.Add(100 * time.Millisecond), Answered: noon.Add(time.Second)},
		},
		Transfers: []cdr.Transfer{{
			At: noon.Add(30 * time.Second), AskedBy: "refer", Target: "sip:queue@flex.twilio.com", KeySHA256: "e2243a96",
			Tried: []string{"refer", "rest"}, TriedAt: []time.Time{noon.Add(30 * time.Second), noon.Add(31 * time.Second)},
			Method: "rest", Result: "success", Reason: "proved", Context: "delivered", Took: 3, DeadAir: 0.5,
		}},
		OneWay: []cdr.OneWay{{Leg: "a", Reason: "nothing", At: noon.Add(10 * time.Second), Lasted: 2}},
	},
	Media: []cdr.Media{{Leg: "b", Received: cdr.Stream{Packets: 100, Lost: 1, MOS: 4.3}, RoundTrip: 0.02}},
}

// sketch draws spans: name under name, when each begins and ends behind the call's beginning, what of it went wrong, and
// what is said of it.
func sketch(spans []*v1.Span) string {
	var b strings.Builder
	names := make(map[string]string)
	for _, s := range spans {
		names[string(s.SpanId)] = s.Name
		at := func(t uint64) time.Duration { return time.Duration(t - spans[0].StartTimeUnixNano) }
		fmt.Fprintf(&b, "%s/%s %v-%v %s", names[string(s.ParentSpanId)], s.Name, at(s.StartTimeUnixNano), at(s.EndTimeUnixNano), s.Status.GetMessage())
		for _, a := range s.Attributes {
			v := a.Value
			fmt.Fprintf(&b, " %s=%s", a.Key, strings.TrimSpace(strings.SplitN(v.String(), ":", 2)[1]))
		}
		for _, e := range s.Events {
			fmt.Fprintf(&b, " [%s %v]", e.Name, at(e.TimeUnixNano))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestACallBecomesATrace(t *testing.T) {
	spans := Spans(moved)
	want := `/call 0s-1m0s  handoff.call="call-1" handoff.kind="pv" handoff.result="success" handoff.reason="transferred" handoff.twilio.call_sid="CA1" handoff.talked=59 client.address="192.0.2.1" [leg is not heard 10s]
call/setup 0s-1s 
call/leg a 0s-1m0s  handoff.leg="a" sip.call_id="a@1" handoff.ended="us" sip.response.status_code=200 [answered 1s]
call/leg b 0s-100ms SIP 503 handoff.leg="b" sip.call_id="b@1" server.address="one.example" sip.response.status_code=503
call/leg b 100ms-1m0s  handoff.leg="b" sip.call_id="b@2" server.address="two.example" sip.response.status_code=200 rtp.received.packets=100 rtp.received.lost=1 rtp.received.mos=4.3 rtp.round_trip=0.02 [answered 1s]
call/transfer 30s-33s  handoff.asked_by="refer" handoff.target="sip:queue@flex.twilio.com" handoff.key_sha256="e2243a96" handoff.method="rest" handoff.result="success" handoff.reason="proved" handoff.context="delivered" handoff.dead_air=0.5
transfer/transfer by refer 30s-31s the next method was tried handoff.method="refer"
transfer/transfer by rest 31s-33s  handoff.method="rest"
`
	if got := sketch(spans); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	ids := make(map[string]bool)
	for _, s := range spans {
		if len(s.TraceId) != 16 || len(s.SpanId) != 8 || string(s.TraceId) != string(spans[0].TraceId) || ids[string(s.SpanId)] {
			t.Errorf("%s has ids %x %x", s.Name, s.TraceId, s.SpanId)
		}
		ids[string(s.SpanId)] = true
	}
	if id := hex.EncodeToString(spans[0].TraceId); id != "5d7963c4f471e142f5a72214a9666fb1" { // printf call-1 | sha256sum
		t.Errorf("trace id %s", id)
	}
	if !proto.Equal(spans[1], Spans(moved)[1]) {
		t.Error("the same call is told otherwise the second time")
	}
}

// What is not known has the times of the call, and no span ends before it begins.
func TestACallOfWhichLittleIsKnown(t *testing.T) {
	got := sketch(Spans(cdr.Record{
		Call: "call-2", Started: noon, Ended: noon.Add(time.Second), Result: "us", Reason: "restart",
		Story: cdr.Story{
			Legs:      []cdr.Leg{{Leg: "a", Started: noon.Add(2 * time.Second)}, {Leg: "b"}},
			Transfers: []cdr.Transfer{{At: noon, Tried: []string{"refer"}}},
		},
	}))
	want := `/call 0s-1s restart handoff.call="call-2" handoff.result="us" handoff.reason="restart"
call/setup 0s-1s 
call/leg a 2s-2s  handoff.leg="a"
call/leg b 0s-1s  handoff.leg="b"
call/transfer 0s-1s 
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// collector answers with the statuses in turn, the last one for ever, and keeps what it took.
type collector struct {
	mu       sync.Mutex
	statuses []int
	headers  []http.Header
	spans    []*v1.Span
	resource string
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, r.Header)
	status := http.StatusOK
	if len(c.statuses) > 0 {
		if status = c.statuses[0]; len(c.statuses) > 1 {
			c.statuses = c.statuses[1:]
		}
	}
	var data v1.TracesData
	switch {
	case r.URL.Path != "/v1/traces" || r.Method != "POST" || r.Header.Get("Content-Type") != "application/x-protobuf":
		status = http.StatusNotFound
	case proto.Unmarshal(body, &data) != nil:
		status = http.StatusBadRequest
	case status == http.StatusOK:
		for _, rs := range data.ResourceSpans {
			c.resource = rs.Resource.String()
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	}
	if status == http.StatusFound {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(status)
}

func (c *collector) calls() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == "call" {
			n++
		}
	}
	return n
}

func (c *collector) requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.headers)
}

type counter struct {
	mu sync.Mutex
	n  map[metrics.Export]int
}

func (c *counter) Telemetry(e metrics.Export) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[metrics.Export]int)
	}
	c.n[e]++
}

func (c *counter) of(e metrics.Export) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[e]
}

// closeTime is how long an edge waits.
const closeTime = 2 * time.Second

func closed(e *Exporter) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	e.Close(ctx)
}

func start(t *testing.T, c http.Handler) (*Exporter, *counter) {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	var counted counter
	e := New(Config{Endpoint: server.URL, Headers: map[string]string{"api-key": "s3cret"}, Node: "edge-1", Version: "v1"}, Deps{Log: zaptest.NewLogger(t), Observer: &counted})
	t.Cleanup(func() { closed(e) })
	return e, &counted
}

func TestCallsThatEndTogetherGoTogether(t *testing.T) {
	c := &collector{}
	e, counted := start(t, c)
	for range 3 {
		e.Write(moved)
	}
	closed(e)
	closed(e)
	e.Write(moved)
	if c.calls() != 3 || c.requests() != 1 || counted.of(metrics.ExportSent) != 3 || counted.of(metrics.ExportDropped) != 1 {
		t.Errorf("%d calls in %d requests, counted %v", c.calls(), c.requests(), counted.n)
	}
	if c.headers[0].Get("api-key") != "s3cret" {
		t.Errorf("headers are %v", c.headers[0])
	}
	for _, want := range []string{"service.name", "handoff", "service.instance.id", "edge-1"} {
		if !strings.Contains(c.resource, want) {
			t.Errorf("no %s in %s", want, c.resource)
		}
	}
}

func TestARequestIsMadeAgainWhereThatMayHelp(t *testing.T) {
	tests := []struct {
		name           string
		statuses       []int
		calls, request int
		became         metrics.Export
	}{
		{"a collector that is busy once", []int{503, 200}, 1, 2, metrics.ExportSent},
		{"a collector that stays busy", []int{429}, 0, tries, metrics.ExportFailed},
		{"a collector that does not want it", []int{400}, 0, 1, metrics.ExportFailed},
		{"a collector that points elsewhere", []int{302}, 0, 1, metrics.ExportFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &collector{statuses: slices.Clone(tt.statuses)}
			e, counted := start(t, c)
			e.Write(moved)
			for deadline := time.Now().Add(20 * time.Second); counted.of(tt.became) == 0 && time.Now().Before(deadline); {
				time.Sleep(5 * time.Millisecond)
			}
			if c.calls() != tt.calls || c.requests() != tt.request || counted.of(tt.became) != 1 {
				t.Errorf("%d calls in %d requests, counted %v", c.calls(), c.requests(), counted.n)
			}
		})
	}
}

// What peers call things need not be UTF-8, and costs no other call its trace.
func TestNamesOfAnyBytesAreSent(t *testing.T) {
	c := &collector{}
	e, counted := start(t, c)
	odd := moved
	odd.TwilioCallSID, odd.TwilioParentCallSID = "CA\xff\x00\x1b[2J", "\xc0\x80"
	odd.Legs = []cdr.Leg{{Leg: "a", CallID: "\xed\xa0\x80@\xfe", Target: "\xf8"}}
	odd.Transfers = []cdr.Transfer{{At: noon, Target: "sip:\xff@x"}}
	e.Write(odd)
	e.Write(moved)
	closed(e)
	if c.calls() != 2 || counted.of(metrics.ExportSent) != 2 {
		t.Errorf("%d calls, counted %v", c.calls(), counted.n)
	}
}

// Nor need they be short, and a call takes no more memory for it.
func TestLongNamesAreCut(t *testing.T) {
	long := moved
	long.Legs = []cdr.Leg{{Leg: "a", CallID: strings.Repeat("ü", 40_000)}}
	all := 0
	for _, s := range Spans(long) {
		all += proto.Size(s)
	}
	if all > 4*maxText {
		t.Errorf("%d bytes", all)
	}
	if _, err := proto.Marshal(request(Config{}, Spans(long))); err != nil {
		t.Error(err)
	}
}

// A collector that takes its time costs traces, never a call's time.
func TestWhatFindsNoRoomIsDropped(t *testing.T) {
	stuck := make(chan struct{})
	e, counted := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	defer close(stuck)
	for range room + 2*batch {
		e.Write(cdr.Record{Call: "call-3", Started: noon, Ended: noon})
	}
	if n := counted.of(metrics.ExportDropped); n < batch-1 || n > 2*batch {
		t.Errorf("%d dropped", n)
	}
	begun := time.Now()
	closed(e)
	if took := time.Since(begun); took > closeTime+10*time.Second {
		t.Errorf("Close took %v", took)
	}
	if n := counted.of(metrics.ExportDropped) + counted.of(metrics.ExportFailed); n != room+2*batch {
		t.Errorf("%d of %d counted", n, room+2*batch)
	}
}
