package control

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/metrics/trace"
)

// traces remember a few calls.
type traces map[string]trace.Story

func (t traces) Find(id string) (trace.Story, error) {
	if id == "several" {
		return trace.Story{}, fmt.Errorf("%q is the beginning of 2 calls", id)
	}
	told, known := t[id]
	if !known {
		return told, fmt.Errorf("%w among 3", trace.ErrUnknown)
	}
	return told, nil
}

func (t traces) Ended() []cdr.Record { return []cdr.Record{{Call: "c3"}, {Call: "c2"}} }

func TestStories(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	said := []trace.Message{{
		Time: at, Peer: metrics.PeerTwilio, Leg: "a", Transport: "tls", Local: "192.0.2.1:5061", Remote: "192.0.2.2:1",
		Raw: []byte("INVITE sip:a@b SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n"),
	}}
	known := traces{
		"c1":    {Call: "c1", Record: cdr.Record{Call: "c1", Node: "edge-1", Kind: "as it began"}, Messages: said},
		"CA1":   {Call: "c1", Record: cdr.Record{Call: "c1", Node: "edge-1"}},
		"c2":    {Call: "c2", Record: cdr.Record{Call: "c2", Started: at, Ended: at.Add(time.Second), Reason: "caller_hangup", Result: "success"}, Messages: said},
		"gone":  {Call: "gone", Record: cdr.Record{Call: "gone"}},
		"stuck": {Call: "stuck", Record: cdr.Record{Call: "stuck", Kind: "as it began"}},
		"x@y/z": {Refused: []trace.Refusal{{At: at, Why: metrics.RejectLimit}}, Messages: said},
	}
	capture := func(w io.Writer) func([]trace.Message, ...trace.Packet) error {
		return func(messages []trace.Message, _ ...trace.Packet) error {
			_, err := fmt.Fprintf(w, "%d packets", len(messages))
			return err
		}
	}
	deps := Deps{Engine: &engine{}, Traces: known, Capture: capture}
	tests := []struct {
		name, path string
		deps       Deps
		status     int
		wants      []string
	}{
		{"a live call, as it says itself", "c1", deps, 200, []string{`"call":"c1","live":true,"record":{`, `"kind":"pv"`, `"node":"edge-1"`, `"state":{"id":"c1"`,
			`"offset":0,"leg":"a","direction":"in","peer":"twilio","transport":"tls","local":"192.0.2.1:5061","remote":"192.0.2.2:1","label":"INVITE","detail":"#1, tls","again":false,"raw":"INVITE`,
			`"dropped":0,"quality":[],"findings":[]`}},
		{"by another name", "CA1", deps, 200, []string{`"call":"c1","live":true`}},
		{"a call that has ended", "c2", deps, 200, []string{`"live":false`, `"reason":"caller_hangup"`, `"severity":"info"`, `"at":"2026-01-01T00:00:01Z"`}},
		{"one that does not answer", "stuck", deps, 200, []string{`"live":true`, `"kind":"as it began"`}},
		{"one that has just gone", "gone", deps, 200, []string{`"call":"gone"`}},
		{"a Call-ID of no call's", "x@y%2Fz", deps, 200, []string{`"call":"","live":false`, "A limit was reached."}},
		{"what is unknown", "nobody", deps, 404, []string{`{"error":"no such call among 3"}`}},
		{"what could be several", "several", deps, 409, []string{"2 calls"}},
		{"the ended", "ended", deps, 200, []string{`{"calls":[{`, `"call":"c3"`, `"call":"c2"`}},
		{"packets", "c2/pcap", deps, 200, []string{"1 packets"}},
		{"packets with media of a call that is over", "c2/pcap?media=1s", deps, 409, []string{"no media any more"}},
		{"packets with media for ever", "c2/pcap?media=1h", deps, 400, []string{"up to 20s"}},
		{"packets of what could be several", "several/pcap", deps, 409, []string{"2 calls"}},
		{"packets of nobody", "nobody/pcap", deps, 404, []string{"no such call"}},
		{"packets without who writes them", "c2/pcap", Deps{Engine: &engine{}, Traces: known}, 404, nil},
		{"packets where nothing is remembered", "c2/pcap", Deps{Engine: &engine{}, Capture: capture}, 409, []string{"trace.calls is 0"}},
		{"a live call without traces", "c1", Deps{Engine: &engine{}}, 200, []string{`"live":true`, `"messages":[]`}},
		{"an ended call without traces", "c2", Deps{Engine: &engine{}}, 404, []string{"trace.calls is 0"}},
		{"the ended without traces", "ended", Deps{Engine: &engine{}}, 200, []string{`{"calls":[]}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			Handler(tt.deps).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/calls/"+tt.path, nil))
			if w.Code != tt.status {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			for _, want := range tt.wants {
				if !strings.Contains(w.Body.String(), want) {
					t.Errorf("%s is missing in %s", want, w.Body)
				}
			}
		})
	}
}

// Who has read a story by one of its names ends the call by that name.
func TestACallIsChangedByAnyOfItsNames(t *testing.T) {
	known := traces{
		"CA1": {Call: "c1", Record: cdr.Record{Call: "c1"}}, "x@y": {Refused: []trace.Refusal{{Why: metrics.RejectLimit}}},
		"c2": {Call: "c2", Record: cdr.Record{Call: "c2", Ended: time.Unix(1, 0)}},
	}
	for name, want := range map[string]struct {
		status    int
		did, says string
	}{
		"CA1":     {202, "hang up c1", "ok"},
		"c1":      {202, "hang up c1", "ok"}, // not remembered any more
		"c2":      {409, "", "the call is over"},
		"several": {409, "", "2 calls"},
		"x@y":     {404, "hang up x@y", "no such call"},
	} {
		e := &engine{}
		r := httptest.NewRequest(http.MethodPost, "/api/v1/calls/"+name+"/hangup", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		Handler(Deps{Engine: e, Traces: known}).ServeHTTP(w, r)
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.says) || strings.Join(e.did, ", ") != want.did {
			t.Errorf("%s: %d %s, did %q", name, w.Code, w.Body, e.did)
		}
	}
}

func TestOverviewTellsOfADrain(t *testing.T) {
	e := &engine{did: []string{"drain"}}
	deps := Deps{Engine: e, Process: process{e}, Overview: func() Overview { return Overview{Node: "edge-1", Calls: 3} }}
	w := httptest.NewRecorder()
	Handler(deps).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/overview", nil))
	var o Overview
	if err := json.Unmarshal(w.Body.Bytes(), &o); err != nil || !o.Draining || o.Node != "edge-1" || o.Calls != 3 {
		t.Errorf("%s, %v", w.Body, err)
	}
}
