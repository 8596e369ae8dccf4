package main

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"handoff/configs"
	"handoff/metrics"
	"handoff/metrics/otel"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
	simwire "handoff/sip/simulator/wire"
)

// spanKeeper is an OpenTelemetry collector.
type spanKeeper struct {
	mu    sync.Mutex
	raw   strings.Builder
	spans []*tracepb.Span
	keys  []string
}

func (k *spanKeeper) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &data) != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.raw.Write(body)
	k.keys = append(k.keys, r.Header.Get("api-key"))
	for _, rs := range data.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			k.spans = append(k.spans, ss.Spans...)
		}
	}
}

// TestACallIsTracedToItsTransfer plays a transfer whose first method fails, of a caller whose INVITE claims to belong to a trace:
// the collector sees the call in its own trace, and neither Watson nor the collector anything of the claim.
func TestACallIsTracedToItsTransfer(t *testing.T) {
	t.Parallel()
	const claimed = "4bf92f3577b34da6a3ce929d0e0e4736"
	keeper := &spanKeeper{}
	server := httptest.NewServer(keeper)
	t.Cleanup(server.Close)
	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("api-key=s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sc := newScene(t, stageConfig{REST: true, Set: func(c *configs.Config) {
		c.Telemetry.OTLP = configs.OTLP{Endpoint: server.URL, HeadersFile: headers}
	}})
	caller, assistant := sc.place(twilio.Options{
		Refer:   twilio.Refer{Status: 603},
		Headers: []simwire.Header{{Name: "traceparent", Value: "00-" + claimed + "-00f067aa0ba902b7-01"}, {Name: "tracestate", Value: "evil=" + claimed}},
	})
	sc.stillTalk(caller, assistant)
	id := sc.edge.engine.List(sc.ctx)[0].ID
	_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
	sc.must(err)
	sc.over(caller, assistant)
	sc.counted(`handoff_telemetry_traces_total{result="sent"} 1`)

	keeper.mu.Lock()
	defer keeper.mu.Unlock()
	trace, names := otel.TraceID(id), make(map[string]string)
	var told []string
	for _, s := range keeper.spans {
		names[string(s.SpanId)] = s.Name
		told = append(told, names[string(s.ParentSpanId)]+"/"+s.Name)
		if string(s.TraceId) != string(trace[:]) || s.EndTimeUnixNano < s.StartTimeUnixNano || time.Since(time.Unix(0, int64(s.StartTimeUnixNano))) > time.Minute {
			t.Errorf("a span is odd: %v", s)
		}
		if strings.HasPrefix(s.Name, "transfer by ") && s.EndTimeUnixNano == s.StartTimeUnixNano {
			t.Errorf("it took no time: %v", s)
		}
	}
	want := "/call call/setup call/leg a call/leg b call/transfer transfer/transfer by refer transfer/transfer by rest"
	if got := strings.Join(told, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(keeper.keys) != 1 || keeper.keys[0] != "s3cret" {
		t.Errorf("requests with keys %q", keeper.keys)
	}
	bytes, err := hex.DecodeString(claimed)
	sc.must(err)
	for _, never := range []string{testKey, claimed, string(bytes), "15005550001", "18885557777"} {
		if strings.Contains(keeper.raw.String(), never) {
			t.Errorf("the collector was told %q", never)
		}
	}
	for _, m := range sc.recorder.Messages() {
		if text := strings.ToLower(string(m.Raw)); m.Direction == metrics.Out && (strings.Contains(text, "traceparent") || strings.Contains(text, "tracestate") || strings.Contains(text, claimed)) {
			t.Errorf("the edge says\n%s", m.Raw)
		}
	}
	sc.clean()
}
