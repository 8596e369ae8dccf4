package control

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"handoff/metrics/trace"
	"handoff/sip/b2bua"
)

type kept map[string][]trace.Message

func (k kept) Messages(id string) ([]trace.Message, error) {
	if id == "odd" {
		return nil, errors.New("the disk is full")
	}
	if m, there := k[id]; there {
		return m, nil
	}
	return nil, b2bua.ErrNoCall
}

func TestPcap(t *testing.T) {
	const bye = "BYE sip:b@example.com SIP/2.0\r\n\r\n"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/calls/{id}/pcap", Pcap(kept{"c1": {{Local: "192.0.2.1:5060", Remote: "192.0.2.2:5060", Raw: []byte(bye)}}, "quiet": nil}))
	tests := []struct {
		name, path     string
		status         int
		kind, contains string
	}{
		{"a call", "/api/v1/calls/c1/pcap", 200, pcapType, bye},
		{"a call without messages", "/api/v1/calls/quiet/pcap", 200, pcapType, "handoff"},
		{"an unknown call", "/api/v1/calls/c2/pcap", 404, "application/json", "no such call"},
		{"a call that can't be read", "/api/v1/calls/odd/pcap", 500, "application/json", "the disk is full"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest("GET", tt.path, nil))
			if w.Code != tt.status || w.Header().Get("Content-Type") != tt.kind || !bytes.Contains(w.Body.Bytes(), []byte(tt.contains)) {
				t.Errorf("%d %s %q", w.Code, w.Header().Get("Content-Type"), w.Body)
			}
			if w.Header().Get("Cache-Control") != "no-store" {
				t.Error("may be cached")
			}
		})
	}
}
